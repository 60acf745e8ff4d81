"""Runs over a plane, and the levels that their layers fall into when tiles are cut again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from taesd_stream.models.chain import Chain, Kept
from taesd_stream.models.global_pool import GlobalPool
from taesd_stream.models.layers import Span
from tiling import Grid, Interval, Region, Size, halo, scale

__all__ = ["Level", "LevelFigures", "Pass"]


@dataclass(frozen=True, slots=True)
class Level:
    """Some of a pass's layers, one after the other: those that tiles of one size go through.

    Tiles are named by the part of the pass's output that they are for, whatever the level.

    Attributes:
        before: The layers of the levels before.
        body: Its own layers.
        after: The layers of the levels after.
        channels: Channels that it reads.
    """

    before: Chain
    body: Chain
    after: Chain
    channels: int

    def span(self, tile: Interval, size: int) -> Span:
        """What its layers have to do for a tile, along an axis of the pass's input."""
        own_size = self.before.out_size(size)
        want = self.after.span(tile, self.body.out_size(own_size)).have
        return self.body.span(want, own_size)

    def spans(self, tile: Region, plane: Size) -> tuple[Span, Span]:
        """The rows and columns of making what a tile needs, from the pass's input ``plane``."""
        return self.span(tile.y, plane.height), self.span(tile.x, plane.width)


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """What a level costs, per input step.

    Attributes:
        work: Multiply-adds of all its tiles.
        tiles: How many these are.
        kinds: How many kinds of tiles there are among them, told apart by where borders are.
        layers: How many layers each of them goes through.
        live: The most elements held at once for the costliest of its tiles.
        held: Elements that the levels before hold meanwhile.
    """

    work: int
    tiles: int
    kinds: int
    layers: int
    live: int
    held: int


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
    _levels: dict[int, tuple[Level, ...]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def out_channels(self) -> int:
        """Channels that the pass writes."""
        return self.body.out_channels(self.channels)

    def out_plane(self, plane: Size) -> Size:
        """The plane that the pass makes of ``plane``."""
        return Size(self.body.out_size(plane.height), self.body.out_size(plane.width))

    def spans(self, tile: Region, plane: Size) -> tuple[Span, Span]:
        """The rows and columns of making a tile of the output from an input ``plane``."""
        return self.body.span(tile.y, plane.height), self.body.span(tile.x, plane.width)

    @property
    def joints(self) -> tuple[int, ...]:
        """Where its layers can be divided into levels: before each that enlarges the plane.

        What came before is then small, and cheap to compute for a larger tile. Layers that remember
        earlier steps are not divided.
        """
        layers = self.body.layers
        if any(layer.kept_steps for layer in layers):
            return ()
        return tuple(i for i, layer in enumerate(layers) if i and layer.footprint.upscale > 1)

    def levels(self, count: int) -> tuple[Level, ...]:
        """Its layers in ``count`` levels, divided at the last joints."""
        if count not in self._levels:
            self._levels[count] = tuple(self._divided(count))
        return self._levels[count]

    def _divided(self, count: int) -> Iterator[Level]:
        layers, channels = self.body.layers, self.channels
        if not 1 <= count <= 1 + len(self.joints):
            raise ValueError(f"expected 1 to {1 + len(self.joints)} levels; got {count}")
        joints = self.joints[1 - count :] if count > 1 else ()
        for start, stop in pairwise((0, *joints, len(layers))):
            body = self.body if count == 1 else Chain(layers[start:stop])
            yield Level(Chain(layers[:start]), body, Chain(layers[stop:]), channels)
            channels = body.out_channels(channels)

    def memories(self, tile: Region, plane: Size) -> Iterator[Kept]:
        """What layers with a memory keep for a tile of the output."""
        return self.body.memories(*self.spans(tile, plane), self.channels)

    def kept(self, plane: Size, grid: Grid) -> tuple[int, int]:
        """The most elements in the memories of all tiles of a grid (first), of one (second)."""
        total = most = 0
        (whole,) = self.levels(1)
        rows, columns = self._kinds(whole, plane, grid, 0)
        for y, rows_alike in rows.items():
            for x, alike in columns.items():
                one = sum(kept.elements for kept in self.body.memories(y, x, self.channels))
                total += one * rows_alike * alike
                most = max(most, one)
        return total, most

    def figures(self, plane: Size, grid: Grid) -> list[LevelFigures]:
        """What each level of a grid over the output plane costs."""
        made: list[LevelFigures] = []
        held = 0
        for index, level in enumerate(self.levels(1 + len(grid.inner))):
            rows, columns = self._kinds(level, plane, grid, index)
            # The branch opens the pass, so it belongs to the first level.
            pool = None if index else self.pool
            made.append(
                LevelFigures(
                    work=_work(level, pool, rows, columns),
                    tiles=rows.total() * columns.total(),
                    kinds=len(rows) * len(columns),
                    layers=len(level.body.layers),
                    live=_peak(level, pool, rows, columns),
                    held=held,
                )
            )
            largest = max(y.want.size for y in rows) * max(x.want.size for x in columns)
            held += largest * level.body.out_channels(level.channels)
        return made

    def work(self, plane: Size, grid: Grid) -> int:
        """Multiply-adds of all tiles of a grid over the output plane, per input step."""
        return sum(level.work for level in self.figures(plane, grid))

    def peak(self, plane: Size, grid: Grid) -> int:
        """The most elements held at once for the costliest tile of a grid, per input step."""
        return max(level.held + level.live for level in self.figures(plane, grid))

    def _kinds(
        self, level: Level, plane: Size, grid: Grid, index: int
    ) -> tuple[Counter[Span], Counter[Span]]:
        rows, columns = grid.pieces(index)
        out = self.out_plane(plane)
        return (
            self._kinds_along(level, rows, grid.cell, plane.height, out.height),
            self._kinds_along(level, columns, grid.cell, plane.width, out.width),
        )

    def _kinds_along(
        self, level: Level, pieces: Iterable[Interval], cell: int, size: int, out_size: int
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
                first[key] = level.span(piece.scale(cell).clip(0, out_size), size)
            kinds[first[key]] += 1
        return kinds


def _work(
    level: Level, pool: GlobalPool | None, rows: Counter[Span], columns: Counter[Span]
) -> int:
    densities = list(level.body.densities(level.channels))
    if pool is not None:
        densities.append(pool.work())
    high, wide = _extents(level, pool, rows), _extents(level, pool, columns)
    return int(sum(d * y * x for d, y, x in zip(densities, high, wide, strict=True)))


def _extents(level: Level, pool: GlobalPool | None, kinds: Counter[Span]) -> list[int]:
    """Elements computed along one axis by each part that multiplies, over all pieces."""
    each = []
    for span, count in kinds.items():
        extents = list(level.body.extents(span))
        if pool is not None:
            extents.append(span.have.size)
        each.append([extent * count for extent in extents])
    return [sum(column) for column in zip(*each, strict=True)]


def _peak(
    level: Level, pool: GlobalPool | None, rows: Counter[Span], columns: Counter[Span]
) -> int:
    # A tile at a border is copied for padding; where it is so along one axis, it is largest
    # when it is the widest along the other.
    pairs = {(y, x) for y in rows for x in _widest(level, columns)}
    pairs |= {(y, x) for y in _widest(level, rows) for x in columns}
    return max(_tile_peak(level, pool, y, x) for y, x in pairs)


def _tile_peak(level: Level, pool: GlobalPool | None, rows: Span, columns: Span) -> int:
    most = level.body.peak(rows, columns, level.channels)
    if pool is not None:
        most = max(most, pool.peak(rows.have.size * columns.have.size))
    return most


def _widest(level: Level, kinds: Counter[Span]) -> tuple[Span, Span]:
    """The kind that reads most, and that of which most is computed over all layers."""
    reads_most = max(kinds, key=lambda span: (span.have.size, span.want.size))
    return reads_most, max(kinds, key=lambda span: sum(level.body.extents(span)))
