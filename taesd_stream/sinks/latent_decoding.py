"""Latents that are decoded in a thread of their own, in the order in which they came."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.device_copies import Transfer
from taesd_stream.engine.shapes import as_one_picture
from taesd_stream.engine.streams.decode_stream import DecodeStream
from taesd_stream.errors import InputError, NonFiniteError
from taesd_stream.sinks.failing import failure_of
from taesd_stream.sinks.queueing import Queueing
from tiling import Size
from video.background import WriteBehind

__all__ = ["LatentDecoding"]

_log = logging.getLogger("taesd_stream")

_LATENTS_THAT_WAIT = 4


class LatentDecoding:
    """Decodes latents in a thread of its own, and hands every frame on.

    Args:
        ae: The model.
        stream: A stream of it, from now on the thread's alone.
        queueing: How many latents may wait, and what happens when there is no room.
        deliver: Told each frame, (H, W, 3) bytes on the model's device.
    """

    def __init__(
        self,
        ae: AutoEncoder,
        stream: DecodeStream,
        queueing: Queueing,
        deliver: Callable[[Tensor], None],
    ) -> None:
        self._spec, self._stream, self._deliver = ae.spec, stream, deliver
        self._queueing = queueing
        most = queueing.most or _LATENTS_THAT_WAIT
        self._working = WriteBehind(self._decode_all, most=most)
        self._plane: Size | None = None
        self._pushed = self._made_room = self._lost = 0
        self.failure: str | None = None

    @property
    def dropped(self) -> int:
        """Latents that were not decoded."""
        return self._made_room + self._lost

    def push(self, latent: Tensor) -> None:
        """Hand over a latent, (C, h, w), which its owner may change afterwards.

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
        self._made_room += self._queueing.put(self._working, _taken(one[0]))
        self._pushed += 1

    def finish(self) -> None:
        """Wait until all is decoded and handed on."""
        self._working.finish()

    def _decode_all(self, latents: Iterator[Callable[[], Tensor]]) -> None:
        with self._stream:
            for bring in latents:
                if self.failure is None:
                    self._decode(bring)
                else:
                    self._lost += 1
                del bring
            if self.failure is None:
                self._attempt(self._stream.finish)

    def _decode(self, bring: Callable[[], Tensor]) -> None:
        if not self._attempt(lambda: self._stream.take(bring())):
            self._lost += 1

    def _attempt(self, frames: Callable[[], Iterator[Tensor]]) -> bool:
        """Hand on what is decoded; tell of what goes wrong, and return whether nothing did."""
        try:
            for image in frames():
                self._deliver(image)
        except NonFiniteError as error:
            _log.warning("sink: %s; it is left out", error)
            return False
        except BaseException as error:
            self.failure = failure_of(error)
            _log.error("sink: decoding failed, nothing more is decoded: %s", self.failure)
            return False
        return True


def _taken(latent: Tensor) -> Callable[[], Tensor]:
    """Start to bring a latent to the host; what is returned waits for it."""
    if latent.device.type == "cuda":
        # Not on a stream of its own: what the owner does next must come after it.
        transfer = Transfer([latent.detach()])
        return lambda: transfer.tensors()[0]
    copied = latent.detach().clone(memory_format=torch.contiguous_format)
    return lambda: copied
