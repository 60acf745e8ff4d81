"""Covers of axes, grids of planes, and the blocks that work is cut into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tiling.interval import Interval, Region, Size

__all__ = ["Block", "Cover", "Grid"]


@dataclass(frozen=True, slots=True)
class Cover:
    """An axis cut into pieces of nearly equal length, none longer than ``tile``.

    Equal pieces waste less halo than full ones followed by a sliver, and need less memory.

    Attributes:
        size: Cells to cover.
        tile: The most cells in a piece.
        start: The first of them.

    >>> [piece.size for piece in Cover(65, 64)]
    [33, 32]
    """

    size: int
    tile: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or self.tile < 1:
            raise ValueError(f"a cover needs a size and a tile of at least 1; got {self}")

    def __len__(self) -> int:
        return (self.size + self.tile - 1) // self.tile

    def __iter__(self) -> Iterator[Interval]:
        pieces = len(self)
        short, longer = divmod(self.size, pieces)
        start = self.start
        for index in range(pieces):
            stop = start + short + (index < longer)
            yield Interval(start, stop)
            start = stop

    @property
    def longest(self) -> int:
        """Cells in the longest piece."""
        return -(-self.size // len(self))


@dataclass(frozen=True, slots=True)
class Grid:
    """A plane cut into tiles: the product of two covers.

    Attributes:
        rows: Cover of the height, in cells.
        columns: Cover of the width, in cells.
        cell: Side of a cell in elements of the plane; tiles begin and end at cells.
        continued: Whether every tile of a band goes on where the one to its left ended, so that
            nothing is computed twice along a band.

    >>> len(Grid.of(Size(10, 7), tile=Size(4, 4), cell=8))
    6
    """

    rows: Cover
    columns: Cover
    cell: int = 1
    continued: bool = False

    @classmethod
    def of(cls, cells: Size, tile: Size, cell: int = 1, *, continued: bool = False) -> Grid:
        """A grid over ``cells``, of tiles of at most ``tile`` cells."""
        return cls.over(Region.whole(cells), tile, cell, continued=continued)

    @classmethod
    def over(cls, cells: Region, tile: Size, cell: int = 1, *, continued: bool = False) -> Grid:
        """A grid over a part of a plane.

        >>> grid = Grid.over(Region(Interval(2, 4), Interval(0, 4)), tile=Size(1, 4))
        >>> [tile.y.start for tile in grid]
        [2, 3]
        """
        rows = Cover(cells.y.size, tile.height, cells.y.start)
        columns = Cover(cells.x.size, tile.width, cells.x.start)
        return cls(rows, columns, cell, continued)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Region]:
        """The tiles in the order in which they complete bands, in elements."""
        for y in self.rows:
            for x in self.columns:
                yield Region(y, x).scale(self.cell)

    @property
    def bands(self) -> tuple[Interval, ...]:
        """The rows that each band of tiles completes, from top to bottom, in elements."""
        return tuple(piece.scale(self.cell) for piece in self.rows)

    @property
    def tile(self) -> Size:
        """The largest of the tiles, in cells."""
        return Size(self.rows.longest, self.columns.longest)


@dataclass(frozen=True, slots=True)
class Block:
    """A unit of work: some frames of one tile.

    >>> block = Block(Interval(0, 1), Region(Interval(0, 16), Interval(0, 8)))
    >>> [part.region.shape for part in block.halve(cell=8)]
    [Size(height=8, width=8), Size(height=8, width=8)]
    """

    frames: Interval
    region: Region

    @property
    def volume(self) -> int:
        """Output elements per channel."""
        return self.frames.size * self.region.area

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Frames, rows and columns, to index an array with."""
        y, x = self.region.y, self.region.x
        return (
            slice(self.frames.start, self.frames.stop),
            slice(y.start, y.stop),
            slice(x.start, x.stop),
        )

    def halve(self, cell: int, *, keeps_frames: bool = False) -> tuple[Block, ...]:
        """Two blocks, cut between frames or else across the longer side at a cell; or none.

        Args:
            keeps_frames: Whether it is not cut between frames.
        """
        if self.frames.size > 1 and not keeps_frames:
            return tuple(Block(part, self.region) for part in self.frames.halve())
        y, x = self.region.y, self.region.x
        if max(y.size, x.size) <= cell:
            return ()
        if y.size >= x.size:
            cut = [Region(part.scale(cell), x) for part in y.divide(cell).halve()]
        else:
            cut = [Region(y, part.scale(cell)) for part in x.divide(cell).halve()]
        return tuple(Block(self.frames, region) for region in cut)
