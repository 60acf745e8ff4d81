"""Runs over a plane, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Protocol, TypeAlias

from taesd_stream.models.layers.added import Added
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.global_layer import GlobalLayer
from taesd_stream.models.layers.layer import Work
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.state_region import StateRegion
from tiling import Cover, Grid, Region, Size, halo, scale

__all__ = ["Counted", "Pass", "PassFigures"]


class Counted(Protocol):
    """Layers as they are computed for tiles; a chain of them is, where nothing is done besides."""

    def extents(self, span: Span, /) -> Iterator[int]:
        """Output elements along one axis of each part that multiplies."""

    def peak(self, rows: Span, columns: Span, channels: int, /) -> int:
        """The most elements held at once for one input step, input and output included."""


_Peak: TypeAlias = Callable[[Span, Span], int]
"""The most elements held at once for a tile of these rows and columns."""


@dataclass(frozen=True, slots=True)
class PassFigures:
    """The cost of a pass, per input step.

    Attributes:
        work: Multiply-adds of all its tiles.
        written: Elements that its layers write for all of them.
        tiles: How many these are.
        kinds: How many kinds of tiles there are among them, told apart by where borders are.
        live: The most elements held at once for the costliest of its tiles.
        left: The most elements that a tile leaves for the one to its right.
        kept: Elements in the states of all tiles between time steps.
        most_kept: The most of these that one tile keeps.
        read: The most elements that a tile is given.
        fetched: The elements that all tiles are given, what is added included.
    """

    work: int
    written: int
    tiles: int
    kinds: int
    live: int
    left: int
    kept: int
    most_kept: int
    read: int
    fetched: int


@dataclass(frozen=True, slots=True)
class Pass:
    """A run over the plane: nothing in it needs to have seen the whole of it first.

    Attributes:
        opening: A global layer that opens the pass, and waits for what has been seen of the planes
            that are read; None for none.
        body: The layers that follow, with a bounded footprint.
        channels: Channels that the pass reads.
        reads: The planes that it reads, whose channels lie side by side: 0 is the network's input,
            a number above it that of the pass that makes it, and one below it a plane of noise.
        adds: Planes that are added to what the body makes; None where none are.
        keeps: Whether what it makes is written; else all who read it make it again.
    """

    opening: GlobalLayer | None
    body: Chain
    channels: int
    reads: tuple[int, ...] = (0,)
    adds: Added | None = None
    keeps: bool = True

    @property
    def opened_channels(self) -> int:
        """Channels that the body reads."""
        return self.channels if self.opening is None else self.opening.out_channels

    @property
    def out_channels(self) -> int:
        """Channels that the pass writes."""
        return self.body.out_channels(self.opened_channels)

    @property
    def scale(self) -> tuple[int, int]:
        """Output elements (first) per input elements (second), along an axis."""
        return scale(tuple(self.body.footprints()))

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

    def state_regions(self, tile: Region, plane: Size) -> Iterator[StateRegion]:
        """Where each layer that has a state keeps it of, for a tile of the output."""
        return self.body.state_regions(*self.spans(tile, plane), self.opened_channels)

    def figures(
        self, plane: Size, grid: Grid, counted: Counted | None = None, together: int = 1
    ) -> PassFigures:
        """The cost of a grid over the output plane.

        Args:
            counted: The body as it is computed; None is as it is.
            together: How many steps lie in every tile.
        """
        counted = counted or self.body
        rows, columns = self._kinds(plane, grid)
        high, wide = self._extents(rows, counted), self._extents(columns, counted)
        works = self._work(plane.area)
        made = list(zip(_total(high, rows), _total(wide, columns), works, strict=True))
        # A tile at a border is larger by what it is padded with; where it is so along one axis, it
        # is largest when it is the widest along the other.
        peak = cache(partial(self._tile_peak, counted, together))
        pairs = {
            *product(rows, self._widest(wide, peak)),
            *product(self._widest(high, peak), columns),
        }
        kept = {(y, x): self._kept(y, x) for y, x in product(rows, columns)}
        return PassFigures(
            work=int(sum(part.multiplied * y * x for y, x, part in made)),
            written=int(sum(part.written * y * x for y, x, part in made)),
            tiles=rows.total() * columns.total(),
            kinds=len(rows) * len(columns),
            live=_most_live(rows, columns, pairs, peak),
            left=max(self.body.left(y, x, self.opened_channels) for y, x in pairs),
            kept=sum(one * rows[y] * columns[x] for (y, x), one in kept.items()),
            most_kept=max(kept.values()),
            read=_longest(rows) * _longest(columns) * self.channels,
            fetched=self._fetched(rows, columns, plane),
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

    def _extents(self, kinds: Iterable[Span], counted: Counted) -> dict[Span, list[int]]:
        """Elements computed along one axis by each part that multiplies."""
        extents = {span: list(counted.extents(span)) for span in kinds}
        for span, each in extents.items():
            if self.opening is not None:
                each.append(span.given.size)
            if self.adds is not None:
                each.append(span.want.size)
        return extents

    def _work(self, plane_area: int) -> list[Work]:
        """The work of each part that multiplies."""
        work = list(self.body.work(self.opened_channels))
        if self.opening is not None:
            work.append(self.opening.work(plane_area))
        if self.adds is not None:
            work.append(self.adds.work())
        return work

    def _fetched(self, rows: Counter[Span], columns: Counter[Span], plane: Size) -> int:
        high, wide = (
            sum(count * span.given.size for span, count in kinds.items())
            for kinds in (rows, columns)
        )
        fetched = high * wide * self.channels
        if self.adds is not None:
            fetched += self.adds.fetched(self.out_plane(plane).area)
        if self.opening is not None and self.opening.reads_all:
            fetched += rows.total() * columns.total() * plane.area * self.channels
        return fetched

    def _kept(self, rows: Span, columns: Span) -> int:
        regions = self.body.state_regions(rows, columns, self.opened_channels)
        return sum(kept.elements for kept in regions)

    def _tile_peak(self, counted: Counted, together: int, rows: Span, columns: Span) -> int:
        most = counted.peak(rows, columns, self.opened_channels)
        if len(self.reads) > 1:
            most = max(most, 2 * rows.given.size * columns.given.size * self.channels)
        if self.opening is not None:
            given = rows.given.size * columns.given.size
            opened = self.opening.peak(given, rows.size * columns.size, together)
            most = max(most, -(-opened // together))
        if self.adds is not None:
            area = rows.want.size * columns.want.size
            most = max(most, 2 * area * self.out_channels + self.adds.fetched(area))
        return most

    def _widest(self, extents: Mapping[Span, list[int]], peak: _Peak) -> set[Span]:
        """The kinds of an axis that a tile may be costliest with, whatever it is along the other.

        They are the one that reads most, that of which most is computed over all layers, and that
        which holds most where a tile is the same along both axes.
        """
        return {
            max(extents, key=lambda span: (span.given.size, span.want.size)),
            max(extents, key=lambda span: sum(extents[span])),
            max(extents, key=lambda span: peak(span, span)),
        }


def _longest(kinds: Iterable[Span]) -> int:
    """The most elements that a piece of an axis is given."""
    return max(span.given.size for span in kinds)


def _total(extents: Mapping[Span, list[int]], kinds: Counter[Span]) -> list[int]:
    """The extents of all pieces of an axis together."""
    each = ([extent * kinds[span] for extent in parts] for span, parts in extents.items())
    return [sum(column) for column in zip(*each, strict=True)]


def _most_live(
    rows: Iterable[Span], columns: Iterable[Span], pairs: Iterable[tuple[Span, Span]], peak: _Peak
) -> int:
    """The peak of the costliest tile, sought along either axis from the costliest of some."""
    high, wide = max(pairs, key=lambda pair: peak(*pair))
    most, before = peak(high, wide), 0
    while most > before:
        before = most
        high = max(rows, key=lambda y: peak(y, wide))
        wide = max(columns, key=lambda x: peak(high, x))
        most = peak(high, wide)
    return most
