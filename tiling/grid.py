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
        size: Cells along the axis.
        tile: The most cells in a piece.

    >>> [piece.size for piece in Cover(65, 64)]
    [33, 32]
    """

    size: int
    tile: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.tile < 1:
            raise ValueError(f"a cover needs a size and a tile of at least 1; got {self}")

    def __len__(self) -> int:
        return (self.size + self.tile - 1) // self.tile

    def __iter__(self) -> Iterator[Interval]:
        pieces = len(self)
        short, longer = divmod(self.size, pieces)
        start = 0
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
    """A plane cut into tiles, the product of two covers; tiles may be cut again, level by level.

    Attributes:
        rows: Cover of the height, in cells.
        columns: Cover of the width, in cells.
        cell: Side of a cell in elements of the plane; tiles begin and end at cells.
        inner: The largest tiles, in cells, that those of the level before are cut into.

    >>> len(Grid.of(Size(10, 7), tile=Size(4, 4), cell=8))
    6
    >>> nested = Grid.of(Size(10, 7), tile=Size(10, 7), inner=(Size(4, 4),))
    >>> len(nested), nested.innermost_count, str(nested.innermost)
    (1, 6, '4x4')
    """

    rows: Cover
    columns: Cover
    cell: int = 1
    inner: tuple[Size, ...] = ()

    @classmethod
    def of(cls, cells: Size, tile: Size, cell: int = 1, inner: tuple[Size, ...] = ()) -> Grid:
        """A grid over ``cells``: tiles of at most ``tile`` cells, and ``inner`` ones in them."""
        rows, columns = Cover(cells.height, tile.height), Cover(cells.width, tile.width)
        return cls(rows, columns, cell, inner)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Region]:
        """The outermost tiles in the order in which they complete row bands, in elements."""
        for y in self.rows:
            for x in self.columns:
                yield Region(y, x).scale(self.cell)

    def inside(self, tile: Region, level: int) -> Iterator[Region]:
        """The tiles of a level, from 1, that a tile of the level before is cut into."""
        most = self.inner[level - 1]
        cells = tile.divide(self.cell)
        for region in Grid.of(cells.shape, most):
            yield region.shift(cells.y.start, cells.x.start).scale(self.cell)

    def evened(self, tile: Region) -> Region:
        """An outermost tile, in cells, as large as the largest: a shorter one gets one cell more.

        Tiles of one size are fewer tasks to compile for. Parts of tiles stay as they are.

        >>> grid = Grid.of(Size(4, 9), tile=Size(4, 5))
        >>> grid.evened(Region(Interval(0, 4), Interval(5, 9))).x
        Interval(start=4, stop=9)
        """
        return Region(_evened(tile.y, self.rows.longest), _evened(tile.x, self.columns.longest))

    def pieces(self, level: int) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
        """The rows and the columns that all tiles of a level, from 0, are the products of."""
        rows, columns = tuple(self.rows), tuple(self.columns)
        for tile in self.inner[:level]:
            rows = _cut(rows, tile.height)
            columns = _cut(columns, tile.width)
        return rows, columns

    @property
    def tile(self) -> Size:
        """The largest of the outermost tiles, in cells."""
        return Size(self.rows.longest, self.columns.longest)

    @property
    def innermost(self) -> Size:
        """The largest of the innermost tiles, in cells."""
        return self.largest(len(self.inner))

    @property
    def innermost_count(self) -> int:
        """How many innermost tiles there are."""
        rows, columns = self.pieces(len(self.inner))
        return len(rows) * len(columns)

    def largest(self, level: int) -> Size:
        """The largest tile of a level, in cells."""
        rows, columns = self.pieces(level)
        return Size(max(y.size for y in rows), max(x.size for x in columns))


def _evened(piece: Interval, longest: int) -> Interval:
    is_short = piece.size == longest - 1 and piece.start > 0
    return Interval(piece.start - 1, piece.stop) if is_short else piece


def _cut(pieces: tuple[Interval, ...], tile: int) -> tuple[Interval, ...]:
    """Every piece cut into nearly equal ones, none longer than ``tile``."""
    return tuple(part.shift(piece.start) for piece in pieces for part in Cover(piece.size, tile))


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

    def halve(self, cell: int) -> tuple[Block, ...]:
        """Two blocks, cut between frames or else across the longer side at a cell; or none."""
        if self.frames.size > 1:
            return tuple(Block(part, self.region) for part in self.frames.halve())
        y, x = self.region.y, self.region.x
        if max(y.size, x.size) <= cell:
            return ()
        if y.size >= x.size:
            cut = [Region(part.scale(cell), x) for part in y.divide(cell).halve()]
        else:
            cut = [Region(y, part.scale(cell)) for part in x.divide(cell).halve()]
        return tuple(Block(self.frames, region) for region in cut)
