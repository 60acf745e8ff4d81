"""Latents that are decoded in a thread of their own, in the order in which they came."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from torch import Tensor

from taesd_stream.engine.shapes import as_one_picture
from taesd_stream.engine.streams.decode_stream import DecodeStream
from taesd_stream.errors import InputError, NonFiniteError
from taesd_stream.models import ModelSpec
from taesd_stream.sinks.failing import failure_of
from taesd_stream.sinks.latent_taking import take_latents
from taesd_stream.sinks.pacing import FrameTimes
from taesd_stream.sinks.queueing import Queueing
from tiling import Size, TilePlan
from video.background import WriteBehind

__all__ = ["LatentDecoding"]

_log = logging.getLogger("taesd_stream")

_LATENTS_THAT_WAIT = 4


class LatentDecoding:
    """Decodes latents in a thread of its own, and hands every frame on.

    Args:
        spec: Of the model.
        stream: A stream of it, from now on the thread's alone.
        queueing: How many latents may wait, and what happens when there is no room.
        deliver: Told each frame, (H, W, 3) bytes on the model's device, and its time: that of its
            latent; None where it comes after all of them.
        is_timed: Whether frames have times of their own, spread over those of the latents.
    """

    def __init__(
        self,
        spec: ModelSpec,
        stream: DecodeStream,
        queueing: Queueing,
        deliver: Callable[[Tensor, float | None], None],
        *,
        is_timed: bool,
    ) -> None:
        self._spec, self._stream, self._deliver = spec, stream, deliver
        self._queueing, self._is_timed = queueing, is_timed
        most = queueing.most or _LATENTS_THAT_WAIT
        self._working = WriteBehind(self._decode_all, most=most)
        self._plane: Size | None = None
        self._is_dropping = False
        self._pushed = self._made_room = self._lost = 0
        self.failure: str | None = None

    @property
    def dropped(self) -> int:
        """Latents that were not decoded."""
        return self._made_room + self._lost

    @property
    def plan(self) -> TilePlan | None:
        """How they are decoded; None before the first."""
        return self._stream.plan

    @property
    def waiting(self) -> int:
        """Latents that wait to be decoded, about."""
        return self._working.waiting

    def push(self, latent: Tensor, at: float | None) -> None:
        """Hand over a latent, (C, h, w), which its owner may change afterwards.

        Args:
            at: When it came, in seconds of any clock; None where that is of no interest.

        Raises:
            InputError: It is none of this model, or of another size than the first.
        """
        one = as_one_picture(latent, self._pushed, self._spec)
        plane = Size(int(one.shape[2]), int(one.shape[3]))
        if self._plane not in (None, plane):
            raise InputError(
                f"latent {self._pushed}: expected {self._plane}, as the first one was, found"
                f" {plane}; open another sink for another size"
            )
        self._plane = plane
        self._made_room += self._queueing.put(self._working, (take_latents(one[0]), at))
        self._pushed += 1

    def drop_waiting(self) -> None:
        """Decode no more: those that wait, and those that come, are dropped."""
        self._is_dropping = True

    def finish(self) -> None:
        """Wait until all is decoded and handed on."""
        self._working.finish()

    def _decode_all(self, latents: Iterator[tuple[Callable[[], Tensor], float | None]]) -> None:
        times = FrameTimes()
        with self._stream:
            for bring, at in latents:
                decoded = partial(self._decoded, bring)
                del bring
                is_over = self._is_dropping or self.failure is not None
                if is_over or not self._hand_on(decoded, at, times):
                    self._lost += 1
            if self.failure is None and not self._is_dropping:
                self._hand_on(self._stream.finish, None, times)

    def _decoded(self, bring: Callable[[], Tensor]) -> Iterator[Tensor]:
        return self._stream.take(bring())

    def _hand_on(
        self, decode: Callable[[], Iterator[Tensor]], at: float | None, times: FrameTimes
    ) -> bool:
        """Hand frames on; tell of what goes wrong, and return whether nothing did."""
        try:
            if not self._is_timed:
                for image in decode():
                    self._deliver(image, at)
                return True
            images = list(decode())
            spread = times.after(len(images)) if at is None else times.spread(len(images), at)
            for image, time in zip(images, spread, strict=True):
                self._deliver(image, time)
        except NonFiniteError as error:
            _log.warning("sink: %s; it is left out", error)
            return False
        except BaseException as error:
            self.failure = failure_of(error)
            _log.error("sink: decoding failed, nothing more is decoded: %s", self.failure)
            return False
        return True
