"""A picture's rows of tiles, each put together until it is finished."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange

from taesd_stream.engine.pixels import to_bytes
from taesd_stream.engine.running.planes import ScratchPlane, TensorPlane, WritablePlane
from taesd_stream.engine.streams.picture_run import PictureRun
from tiling import Block, Interval, Region, Size
from video.transparency import Transparency

__all__ = ["Band", "Rows", "bands_of", "strips"]

Rows = npt.NDArray[np.uint8]
"""(n, width, 3), or 4 with alpha."""

_STRIP_BYTES = 4 << 20
_ONE = Interval(0, 1)


@dataclass(frozen=True, slots=True)
class Band:
    """A row of tiles that is finished.

    Attributes:
        number: Which of the picture's bands it is.
        height: In pixels.
        width: In pixels.
        plane: Where its pixels are.
    """

    number: int
    height: int
    width: int
    plane: WritablePlane

    def strips(self) -> Iterator[Rows]:
        """Its rows, a few at a time, (n, width, 3 or 4)."""
        columns = Interval(0, self.width)
        for start, stop in strips(self.height, self.width):
            strip = self.plane.read(Block(_ONE, Region(Interval(start, stop), columns)))
            array: Rows = rearrange(strip[0], "c h w -> h w c").numpy()
            yield array


def bands_of(
    picture: PictureRun,
    first: int,
    transparency: Transparency,
    check: Callable[[], None],
    on_tile: Callable[[int, int], None],
) -> Generator[Band]:
    """The bands of a picture, from number ``first`` on.

    Args:
        transparency: What becomes of an alpha that the model makes.
        check: Called after each tile; what it raises ends the work.
        on_tile: Told after each tile how many pixels are done, and of how many.
    """

    def after_tile(done: int, total: int) -> None:
        check()
        on_tile(done, total)

    if first == len(picture.bands):
        return
    width, number = picture.made.width, first
    plane: WritablePlane | None = None
    for region, tile in picture.tiles(first_band=first, on_tile=after_tile):
        band = picture.bands[number]
        pixels = rearrange(to_bytes(tile, transparency), "h w c -> 1 c h w")
        if plane is None:
            plane, left = _room(picture, number, pixels.shape[1]), band.size * width
        plane.write(Block(_ONE, region.shift(-band.start, 0)), pixels)
        left -= region.area
        if not left:
            yield Band(number, band.size, width, plane)
            plane, number = None, number + 1


def _room(picture: PictureRun, number: int, channels: int) -> WritablePlane:
    """A plane to put a band's tiles together on: in memory, if the plan has room for it."""
    size = Size(picture.bands[number].size, picture.made.width)
    make = ScratchPlane if picture.waiting.in_file else TensorPlane.empty
    return make(1, channels, size, torch.uint8, torch.device("cpu"))


def strips(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """All rows, a few megabytes at a time: where each strip begins and ends."""
    step = max(1, _STRIP_BYTES // (3 * width))
    return ((start, min(rows, start + step)) for start in range(0, rows, step))
