"""Frames in, one by one; latents out, each as soon as it is known."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder, OnTile, Run
from taesd_stream.engine.decode_stream import Frame
from taesd_stream.engine.orders import Course
from taesd_stream.engine.pixels import to_images
from taesd_stream.engine.planner import TileOptions
from taesd_stream.errors import InputError
from taesd_stream.models.spec import ModelSpec
from tiling import Size, TilePlan

__all__ = ["EncodeStream"]


class EncodeStream:
    """A video being encoded: ``push`` frames, and get the latents that they complete.

    Made by ``AutoEncoder.open_encode_stream``.
    """

    def __init__(
        self,
        coder: Coder,
        spec: ModelSpec,
        options: TileOptions,
        course: Course,
        on_tile: OnTile | None,
    ) -> None:
        self._coder, self._timing, self._options = coder, spec.encode_timing, options
        self._course, self._on_tile = course, on_tile
        self._seen = 0
        self._last: Frame | None = None
        self._run: Run | None = None
        self._plan: TilePlan | None = None
        self._held: deque[Tensor] = deque()
        self._closed = False

    def push(self, frame: Frame) -> list[Tensor]:
        """Take in the next frame.

        Args:
            frame: (H, W, 3) RGB bytes, of the size of the first one.

        Returns:
            The latents that are known now and were not before, (C, h, w), on the CPU, in the
            computing dtype.

        Raises:
            InputError: Its shape is wrong, or the stream was flushed.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        if self._closed:
            raise InputError("frame: expected none after the stream was flushed; open another")
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise InputError(f"frame {self._seen}: expected (H, W, 3), found {frame.shape}")
        if self._last is not None and frame.shape != self._last.shape:
            raise InputError(
                f"frame {self._seen} is {Size(*frame.shape[:2])}, but the stream began with"
                f" {Size(*self._last.shape[:2])}; all frames of a video must have one size"
            )
        self._last = frame
        self._held.extend(self._feed(frame))
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

    def _release(self, waiting: int) -> list[Tensor]:
        """All latents but the last ``waiting``, which may yet be dropped."""
        return [self._held.popleft() for _ in range(len(self._held) - waiting)]

    def _feed(self, frame: Frame) -> Iterator[Tensor]:
        """The latents that one more frame completes."""
        pictures = to_images(frame[None])
        plane = Size(*pictures.shape[2:])
        if self._plan is None:
            self._plan = self._coder.plan(plane, self._course, self._options)
        if self._run is None or self._timing.begins_group(self._seen):
            self._run = self._coder.continued(self._plan, plane)
            zeros = torch.zeros_like(pictures).expand(self._timing.zeros, -1, -1, -1)
            if self._timing.zeros:
                yield from self._encode(self._run, zeros)
        self._seen += 1
        yield from self._encode(self._run, pictures)

    def _encode(self, run: Run, pictures: Tensor) -> Iterator[Tensor]:
        made: dict[int, Tensor] = {}
        for block, tile in run.tiles(pictures, self._on_tile):
            steps, y, x = block.slices
            for index, part in zip(range(steps.start, steps.stop), tile.cpu(), strict=True):
                if index not in made:
                    shape = (part.shape[0], run.made.height, run.made.width)
                    made[index] = torch.zeros(shape, dtype=part.dtype)
                made[index][:, y, x] += part.to(made[index])
        yield from (made[index] for index in sorted(made))
