"""Planes that are read and written tile by tile, wherever their numbers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import RLock
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.pixels import to_images
from taesd_stream.engine.settings import Settings
from taesd_stream.latents import LatentSource, check_finite
from tiling import Block, Interval, Region, Size, TilePlan, View, around
from video.safe_files.scratch import ScratchFile

__all__ = [
    "During",
    "LatentPlane",
    "PicturePlane",
    "PixelPlane",
    "Plane",
    "ReadPixels",
    "ScratchPlane",
    "TensorPlane",
    "WritablePlane",
    "add_around",
    "as_plane",
    "read_around",
    "room_for",
]


ReadPixels: TypeAlias = Callable[[slice, slice], npt.NDArray[np.uint8]]
"""Rows and columns to (h, w, 3) RGB bytes."""


class Plane(Protocol):
    """Pictures, or time steps, whose parts can be read.

    Attributes:
        frames: How many there are.
        size: Height and width of each.
    """

    @property
    def frames(self) -> int: ...
    @property
    def size(self) -> Size: ...
    def read(self, block: Block) -> Tensor:
        """(n, C, h, w) of some frames and a region within the plane, which is never empty.

        It is not to be written to.
        """
        ...


class WritablePlane(Plane, Protocol):
    """A plane that a pass fills and the next one reads."""

    def write(self, block: Block, tile: Tensor) -> None:
        """Put (n, C, h, w) in its place."""
        ...

    def add(self, block: Block, tile: Tensor) -> None:
        """Add (n, C, h, w) to what is there."""
        ...


class TensorPlane:
    """A plane in memory.

    Args:
        tensor: (N, C, h, w) on any device.

    >>> plane = TensorPlane(torch.zeros(1, 4, 8, 8))
    >>> plane.read(Block(Interval(0, 1), Region(Interval(2, 4), Interval(0, 8)))).shape
    torch.Size([1, 4, 2, 8])
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self.frames = tensor.shape[0]
        self.size = Size(*tensor.shape[2:])

    @classmethod
    def empty(
        cls, frames: int, channels: int, size: Size, dtype: torch.dtype, device: torch.device
    ) -> TensorPlane:
        """A plane to be written, in the memory format that is computed in."""
        shape, layout = (frames, channels, *size), torch.channels_last
        return cls(torch.empty(shape, dtype=dtype, device=device, memory_format=layout))

    def read(self, block: Block) -> Tensor:
        frames, y, x = block.slices
        return self._tensor[frames, :, y, x]

    def write(self, block: Block, tile: Tensor) -> None:
        self.read(block).copy_(tile)

    def add(self, block: Block, tile: Tensor) -> None:
        here = self.read(block)
        here.add_(tile.to(here.device))


class ScratchPlane:
    """A plane in a scratch file, read and written row by row, by one thread at a time.

    Args:
        frames: N.
        channels: C.
        size: Height and width.
        dtype: Of what is written and read.
        device: Where what is read goes.

    Raises:
        OutputError: While it is written, there is no more room for it.

    >>> plane = ScratchPlane(1, 3, Size(8, 8), torch.float32, torch.device("cpu"))
    >>> there = Block(Interval(0, 1), Region(Interval(2, 4), Interval(0, 8)))
    >>> plane.write(there, torch.ones(1, 3, 2, 8))
    >>> plane.read(there).mean().item()
    1.0
    """

    def __init__(
        self, frames: int, channels: int, size: Size, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.frames = frames
        self.size = size
        self._channels, self._dtype, self._device = channels, dtype, device
        needed_bytes = frames * size.area * channels * dtype.itemsize
        self._file = ScratchFile(needed_bytes=needed_bytes)
        self._turn = RLock()

    def read(self, block: Block) -> Tensor:
        shape = (block.frames.size, *block.region.shape, self._channels)
        numbers = torch.empty(shape, dtype=self._dtype)
        with self._turn:
            for row, place in zip(numbers.flatten(0, 1), self._places(block), strict=True):
                self._file.read_into(place, row.view(torch.uint8).numpy().data)
        return numbers.permute(0, 3, 1, 2).to(self._device)

    def write(self, block: Block, tile: Tensor) -> None:
        # Not ``contiguous``, which takes any stride of an axis of one element for the right one.
        values = torch.empty(tile.permute(0, 2, 3, 1).shape, dtype=self._dtype)
        values.copy_(tile.permute(0, 2, 3, 1))
        with self._turn:
            for row, place in zip(values.flatten(0, 1), self._places(block), strict=True):
                self._file.write(place, row.view(torch.uint8).numpy().data)

    def add(self, block: Block, tile: Tensor) -> None:
        with self._turn:
            self.write(block, self.read(block).add_(tile))

    def _places(self, block: Block) -> Iterator[int]:
        """The places in the file, in bytes, at which the rows of a block begin."""
        pixel = self._channels * self._dtype.itemsize
        frames, y, x = block.slices
        for frame in range(frames.start, frames.stop):
            for row in range(y.start, y.stop):
                yield ((frame * self.size.height + row) * self.size.width + x.start) * pixel


class LatentPlane:
    """One latent of a source, read region by region and checked for NaN and infinity.

    Args:
        source: Where it is.
        index: Its number there.
        scale: Brings its numbers to those that the network takes.
    """

    frames = 1

    def __init__(self, source: LatentSource, index: int, scale: LatentScale) -> None:
        self._source, self._index, self._scale = source, index, scale
        self.channels, self.size = source.channels, Size(source.height, source.width)

    def read(self, block: Block) -> Tensor:
        _, y, x = block.slices
        numbers = self._source.region(self._index, y, x)
        check_finite(numbers, self._index, offset=(y.start, x.start))
        return self._scale.to_network(numbers[None], (y.start, x.start))


class PixelPlane:
    """One picture that is read region by region, as values in [0, 1].

    Args:
        size: Height and width.
        read: Rows and columns to (h, w, 3) RGB bytes, or to (h, w, 4), a fresh array.
        channels: 3, or 4 for RGBA, which is opaque where what is read has three.

    >>> import numpy as np
    >>> plane = PixelPlane(Size(2, 2), lambda rows, columns: np.full((2, 2, 3), 255, np.uint8))
    >>> plane.read(Block(Interval(0, 1), Region.whole(plane.size))).mean().item()
    1.0
    """

    frames = 1

    def __init__(self, size: Size, read: ReadPixels, channels: int = 3) -> None:
        self.size, self.channels = size, channels
        self._read = read

    def read(self, block: Block) -> Tensor:
        _, y, x = block.slices
        return to_images(self._read(y, x)[None], self.channels)


PicturePlane: TypeAlias = LatentPlane | PixelPlane
"""One picture that is read region by region."""


class During:
    """Some frames of a plane, counted from the first of them.

    Args:
        plane: The plane.
        frames: Which of its frames.
    """

    def __init__(self, plane: Plane, frames: Interval) -> None:
        self._plane, self._start = plane, frames.start
        self.frames, self.size = frames.size, plane.size

    def read(self, block: Block) -> Tensor:
        return self._plane.read(Block(block.frames.shift(self._start), block.region))


def as_plane(source: Tensor | Plane) -> Plane:
    """A tensor, (N, C, h, w), as a plane; a plane as it is."""
    return TensorPlane(source) if isinstance(source, Tensor) else source


def room_for(
    plan: TilePlan, settings: Settings, frames: int, channels: int, size: Size
) -> WritablePlane:
    """A plane for what a pass makes, where the plan has room for it."""
    dtype, device = settings.tensor_dtype, settings.device
    if plan.scratch:
        return ScratchPlane(frames, channels, size, dtype, device)
    return TensorPlane.empty(frames, channels, size, dtype, device)


def read_around(plane: Plane, block: Block, view: View) -> Tensor:
    """A block that may reach past the borders where a plane goes around."""
    rows = _pieces(block.region.y, plane.size.height, view.wraps_y)
    columns = _pieces(block.region.x, plane.size.width, view.wraps_x)
    parts = [
        _beside([plane.read(Block(block.frames, Region(y, x))) for x in columns], 3) for y in rows
    ]
    return _beside(parts, 2)


def add_around(plane: WritablePlane, block: Block, view: View, part: Tensor) -> None:
    """Add to what ``read_around`` reads, once for each time that it reads it."""
    top = 0
    for y in _pieces(block.region.y, plane.size.height, view.wraps_y):
        left = 0
        for x in _pieces(block.region.x, plane.size.width, view.wraps_x):
            piece = part[:, :, top : top + y.size, left : left + x.size]
            plane.add(Block(block.frames, Region(y, x)), piece)
            left += x.size
        top += y.size


def _pieces(want: Interval, size: int, wraps: bool) -> list[Interval]:
    return list(around(want, size)) if wraps else [want]


def _beside(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)
