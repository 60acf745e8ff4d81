"""Frames in, one by one; latents out, each as soon as it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.pixels import to_images
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.run import OnTile, Run, cut_short
from taesd_stream.engine.speeds import Speed, timed
from taesd_stream.engine.streams.decode_stream import Frame
from taesd_stream.engine.streams.video_stream import VideoStream
from taesd_stream.errors import InputError
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.stream_state import StreamState
from tiling import Size, TilePlan

__all__ = ["EncodeStream"]


class EncodeStream(VideoStream):
    """A video being encoded: ``push`` frames, and get the latents that they complete.

    Made by ``AutoEncoder.open_encode_stream``. A context manager, as ``DecodeStream``.

    Args:
        coder: The encoder.
        options: How the work is cut into tiles.
        count: How many frames will come, for the reader of the plan; None if nobody knows.
        convention: The scale of the latents that are wanted; None is the model's.
        on_tile: Told after each tile how much is done, and of how much.
    """

    _action = "encode"
    _pushed = "frame"

    def __init__(
        self,
        coder: Coder,
        options: TileOptions,
        *,
        count: int | None = None,
        convention: Convention | None = None,
        on_tile: OnTile | None = None,
    ) -> None:
        super().__init__(coder, on_tile)
        self._options, self._count = options, count
        self._scale = coder.scale(convention)
        self._timing = coder.spec.encode_timing
        self._seen = 0
        self._last: Frame | None = None
        self._plan: TilePlan | None = None
        self._held: deque[Tensor] = deque()
        self._is_whole = True

    @property
    def plan(self) -> TilePlan | None:
        """The plan that is carried out; None before the size of frames is known."""
        return self._plan

    @property
    def step_count(self) -> int | None:
        """The number of frames that will come; None if nobody knows."""
        return self._count

    def tell_time(self, speed: Speed) -> None:
        """Put into the plan how long it takes at a speed."""
        if self._plan is not None:
            self._plan = timed(self._plan, self._count, speed)

    def plan_for(self, plane: Size) -> TilePlan:
        """The plan for frames of a size, made once.

        Raises:
            InputError: An option makes no sense, or nothing fits the budget.
        """
        if self._plan is None:
            workload = Workload(steps=None, pictures=self._count, ahead=1)
            self._plan = timed(self._coder.plan(plane, workload, self._options), self._count)
        return self._plan

    def encode(self, frames: Iterable[Frame]) -> Iterator[Tensor]:
        """Push every frame and flush: the latents, each as soon as it is known."""
        for frame in frames:
            yield from self.push(frame)
        yield from self.flush()

    def encode_part(self, frames: Iterable[Frame]) -> Iterator[Tensor]:
        """Push frames that others follow, elsewhere: all latents that they complete."""
        for frame in frames:
            yield from self.push(frame)
        self._closed = True
        yield from self._release(0)

    def push(self, frame: Frame) -> list[Tensor]:
        """Take in the next frame.

        Args:
            frame: (H, W, 3) RGB bytes, of the size of the first one; a model of four
                ``spec.image_channels`` takes (H, W, 4), too.

        Returns:
            The latents that are known now and were not before, (C, h, w), on the CPU, in the
            computing dtype.

        Raises:
            InputError: Its shape is wrong, or the stream was flushed.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        self._check(frame)
        self._last = frame.copy()
        # Until the frame is taken in whole, and for good if that fails.
        self._is_whole = not self._coder.remembers
        self._held.extend(self._feed(self._last))
        self._is_whole = True
        return self._release(self._timing.tail)

    def flush(self) -> list[Tensor]:
        """The latents that waited for more frames: the last one is repeated to complete them."""
        if not self._closed and self._last is not None:
            for _ in range(self._timing.missing(self._seen)):
                self._held.extend(self._feed(self._last))
            for _ in range(self._timing.tail):
                self._held.pop()
        self._closed = True
        return self._release(0)

    def close(self) -> None:
        """Let go of all that is held; no frame can be pushed afterwards."""
        super().close()
        self._last = None
        self._held.clear()

    def save(self) -> StreamState:
        """All that is needed to go on later, or elsewhere: ``open_encode_stream(state=...)``.

        Raises:
            InputError: No frame has come yet, or tiles are blended.
        """
        pending = {} if self._last is None else {"frame": torch.from_numpy(self._last)}
        if self._held:
            pending["latents"] = torch.stack(list(self._held))
        return self._saved(done=self._seen, pending=pending)

    def go_on(self, state: StreamState) -> None:
        """Take over what another stream of this model saved.

        Raises:
            InputError: It is another model's.
        """
        group = self._timing.group
        steps = state.done if group is None else (state.done - 1) % group + 1
        self._take_over(state, steps + self._timing.zeros)
        self._seen = state.done
        self._last = state.pending["frame"].numpy()
        self._held.extend(state.pending.get("latents", ()))

    def _check(self, frame: Frame) -> None:
        if self._closed:
            raise InputError("frame: expected none after the stream was flushed; open another")
        if not self._is_whole:
            raise cut_short()
        is_array = isinstance(frame, np.ndarray)
        channels = {3, self._coder.network.channels}
        is_rgb = is_array and frame.ndim == 3 and frame.shape[2] in channels
        is_rgb = is_rgb and frame.dtype == np.uint8
        if not is_rgb or not frame.size:
            found = f"{frame.shape} of {frame.dtype}" if is_array else type(frame).__name__
            raise InputError(f"frame {self._seen}: expected (H, W, 3) bytes, found {found}")
        if self._last is not None and frame.shape != self._last.shape:
            raise InputError(
                f"frame {self._seen} is {Size(*frame.shape[:2])}, but the stream began with"
                f" {Size(*self._last.shape[:2])}; all frames of a video must have one size"
            )

    def _begin(self, plane: Size) -> Run:
        self._run = Run(self._coder, self.plan_for(plane), plane, goes_on=True)
        return self._run

    def _release(self, waiting: int) -> list[Tensor]:
        """All latents but the last ``waiting``, which may yet be dropped."""
        count = len(self._held) - waiting
        return [self._scale.from_network(self._held.popleft()) for _ in range(count)]

    def _feed(self, frame: Frame) -> Iterator[Tensor]:
        """The latents that one more frame completes."""
        pictures = to_images(frame[None], self._coder.network.channels)
        run = self._run
        if run is None or self._timing.begins_group(self._seen):
            run = self._begin(Size(*pictures.shape[2:]))
            if self._timing.zeros:
                zeros = torch.zeros_like(pictures).expand(self._timing.zeros, -1, -1, -1)
                yield from self._encode(run, zeros)
        self._seen += 1
        yield from self._encode(run, pictures)

    def _encode(self, run: Run, pictures: Tensor) -> Iterator[Tensor]:
        made: dict[int, Tensor] = {}
        for index, (y, x), part in run.parts(pictures, self._on_tile):
            if index not in made:
                shape = (part.shape[0], *run.made)
                made[index] = torch.zeros(shape, dtype=part.dtype, device="cpu")
            made[index][:, y, x] += part.to(made[index])
        yield from (made[index] for index in sorted(made))
