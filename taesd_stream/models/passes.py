"""Runs over a plane, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from taesd_stream.models.chain import Chain, Kept
from taesd_stream.models.global_pool import GlobalPool
from taesd_stream.models.layers import Span
from tiling import Cover, Grid, Region, Size, halo, scale

__all__ = ["Pass", "PassFigures"]


@dataclass(frozen=True, slots=True)
class PassFigures:
    """What a pass costs, per input step.

    Attributes:
        work: Multiply-adds of all its tiles.
        tiles: How many these are.
        kinds: How many kinds of tiles there are among them, told apart by where borders are.
        live: The most elements held at once for the costliest of its tiles.
        left: The most elements that a tile leaves for the one to its right.
    """

    work: int
    tiles: int
    kinds: int
    live: int
    left: int


@dataclass(frozen=True, slots=True)
class Pass:
    """A run over the plane: nothing in it needs to have seen the whole of it first.

    Attributes:
        pool: A global branch that opens the pass; it waits for the statistics that the pass before
            it gathered. None in the first pass.
        body: What follows, with a bounded footprint.
        channels: Channels that the pass reads.
    """

    pool: GlobalPool | None
    body: Chain
    channels: int

    @property
    def out_channels(self) -> int:
        """Channels that the pass writes."""
        return self.body.out_channels(self.channels)

    def out_plane(self, plane: Size) -> Size:
        """The plane that the pass makes of ``plane``."""
        return Size(self.body.out_size(plane.height), self.body.out_size(plane.width))

    def spans(self, tile: Region, plane: Size, *, continued: bool = False) -> tuple[Span, Span]:
        """The rows and columns of making a tile of the output from an input ``plane``.

        Args:
            continued: Whether the tile goes on where the one to its left ended.
        """
        return (
            self.body.span(tile.y, plane.height),
            self.body.span(tile.x, plane.width, continued=continued),
        )

    def memories(self, tile: Region, plane: Size) -> Iterator[Kept]:
        """What layers with a memory keep for a tile of the output."""
        return self.body.memories(*self.spans(tile, plane), self.channels)

    def kept(self, plane: Size, grid: Grid) -> tuple[int, int]:
        """The most elements in the memories of all tiles of a grid (first), of one (second)."""
        total = most = 0
        rows, columns = self._kinds(plane, grid)
        for y, rows_alike in rows.items():
            for x, alike in columns.items():
                one = sum(kept.elements for kept in self.body.memories(y, x, self.channels))
                total += one * rows_alike * alike
                most = max(most, one)
        return total, most

    def figures(self, plane: Size, grid: Grid) -> PassFigures:
        """What a grid over the output plane costs."""
        rows, columns = self._kinds(plane, grid)
        high, wide = self._extents(rows), self._extents(columns)
        # A tile at a border is larger by what it is padded with; where it is so along one axis, it
        # is largest when it is the widest along the other.
        pairs = {(y, x) for y in rows for x in _widest(wide)}
        pairs |= {(y, x) for y in _widest(high) for x in columns}
        return PassFigures(
            work=self._work(_total(high, rows), _total(wide, columns)),
            tiles=rows.total() * columns.total(),
            kinds=len(rows) * len(columns),
            live=max(self._tile_peak(y, x) for y, x in pairs),
            left=max(self.body.left(y, x, self.channels) for y, x in pairs),
        )

    def _kinds(self, plane: Size, grid: Grid) -> tuple[Counter[Span], Counter[Span]]:
        out = self.out_plane(plane)
        return (
            self._kinds_along(grid.rows, grid.cell, plane.height, out.height),
            self._kinds_along(grid.columns, grid.cell, plane.width, out.width, grid.continued),
        )

    def _kinds_along(
        self, pieces: Cover, cell: int, size: int, out_size: int, continued: bool = False
    ) -> Counter[Span]:
        """The different tasks that the pieces of an axis are, and how often each occurs.

        Pieces farther from both ends than the halo differ in nothing but where they lie.
        """
        footprints = tuple(self.body.footprints())
        _, down = scale(footprints)
        # In cells; one more, because the last cell of an encoder may stand for fewer pixels.
        margin = -(-halo(footprints) // down) + 1
        cells = -(-out_size // cell)
        first: dict[tuple[int, int, int], Span] = {}
        kinds: Counter[Span] = Counter()
        for piece in pieces:
            key = (min(piece.start, margin), piece.size, min(cells - piece.stop, margin))
            if key not in first:
                want = piece.scale(cell).clip(0, out_size)
                first[key] = self.body.span(want, size, continued=continued)
            kinds[first[key]] += 1
        return kinds

    def _extents(self, kinds: Iterable[Span]) -> dict[Span, list[int]]:
        """Elements computed along one axis by each part that multiplies."""
        extents = {span: list(self.body.extents(span)) for span in kinds}
        if self.pool is not None:
            for span, each in extents.items():
                each.append(span.given.size)
        return extents

    def _work(self, high: list[int], wide: list[int]) -> int:
        densities = list(self.body.densities(self.channels))
        if self.pool is not None:
            densities.append(self.pool.work())
        return int(sum(d * y * x for d, y, x in zip(densities, high, wide, strict=True)))

    def _tile_peak(self, rows: Span, columns: Span) -> int:
        most = self.body.peak(rows, columns, self.channels)
        if self.pool is not None:
            most = max(most, self.pool.peak(rows.given.size * columns.given.size))
        return most


def _total(extents: Mapping[Span, list[int]], kinds: Counter[Span]) -> list[int]:
    """The extents of all pieces of an axis together."""
    each = ([extent * kinds[span] for extent in parts] for span, parts in extents.items())
    return [sum(column) for column in zip(*each, strict=True)]


def _widest(extents: Mapping[Span, list[int]]) -> tuple[Span, Span]:
    """The kind that reads most, and that of which most is computed over all layers."""
    reads_most = max(extents, key=lambda span: (span.given.size, span.want.size))
    return reads_most, max(extents, key=lambda span: sum(extents[span]))
