"""Canvases: planes that passes are run over, with the surroundings of those that go around.

Where a picture goes around, the layers see a larger plane: on either side lie as many elements from
the opposite one as they read past the border. What they make of the true plane's elements is then
what they would make if each of them went around by itself (every layer of a periodic plane makes a
periodic plane), and no layer ever meets the larger plane's own borders.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiling import Block, Grid, Region, Size

__all__ = ["Canvas", "coarser_tile"]

_LEAST_BANDS = 8


@dataclass(frozen=True, slots=True)
class Canvas:
    """A plane as the layers of a pass see it.

    Attributes:
        plane: Its height and width, with what lies around the true plane.
        grid: The tiles of the output, which lie as they do in the output of ``plane``.
        read_before: Rows and columns that lie before the true plane.
        made_before: Rows and columns of the output that lie before the true one's.
    """

    plane: Size
    grid: Grid
    read_before: Size
    made_before: Size

    @property
    def read_size(self) -> Size:
        """Height and width of the true plane that is read."""
        before = self.read_before
        height, width = self.plane
        return Size(height - 2 * before.height, width - 2 * before.width)

    def true_place(self, region: Region) -> Region:
        """Where a part of the output lies in the true one."""
        return region.shift(-self.made_before.height, -self.made_before.width)

    def read_place(self, block: Block) -> Block:
        """Where a part of what is read lies in the true plane, or around it."""
        before = self.read_before
        return Block(block.frames, block.region.shift(-before.height, -before.width))

    def shown(self, region: Region, crop: Region | None) -> tuple[Region, tuple[slice, slice]]:
        """What is shown of a part of the output, of which a crop may be.

        Returns:
            Where it lies in the crop, and the rows and columns of the part that it is.
        """
        there = self.true_place(region)
        if crop is None:
            return there, there.within(there)
        kept = there.overlap(crop)
        return kept.shift(-crop.y.start, -crop.x.start), kept.within(there)


def coarser_tile(tile: Size, times: int, latents: Size) -> Size:
    """A tile so many times as wide and high, as long as there are bands of them for all cores.

    >>> coarser_tile(Size(4, 4), 8, Size(64, 64))
    Size(height=8, width=32)
    """
    highest = -(-latents.height // _LEAST_BANDS)
    return Size(max(tile.height, min(times * tile.height, highest)), times * tile.width)
