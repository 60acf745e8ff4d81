"""Covers of axes, grids of planes, and the plan that is printed before work starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tiling.interval import Interval, Region, Size

__all__ = ["Block", "Cover", "Grid", "PassPlan", "TilePlan", "choose_tile", "format_bytes"]


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
    """A plane cut into tiles: the product of two covers.

    Attributes:
        rows: Cover of the height, in cells.
        columns: Cover of the width, in cells.
        cell: Side of a cell in elements of the plane; tiles begin and end at cells.

    >>> len(Grid.of(Size(10, 7), tile=Size(4, 4), cell=8))
    6
    """

    rows: Cover
    columns: Cover
    cell: int = 1

    @classmethod
    def of(cls, cells: Size, tile: Size, cell: int = 1) -> Grid:
        """A grid over ``cells`` with tiles of at most ``tile`` cells."""
        return cls(Cover(cells.height, tile.height), Cover(cells.width, tile.width), cell)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Region]:
        """The tiles in the order in which they complete row bands soonest, in elements."""
        for y in self.rows:
            for x in self.columns:
                yield Region(y, x).scale(self.cell)

    @property
    def tile(self) -> Size:
        """The largest tile, in cells."""
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


@dataclass(frozen=True, slots=True)
class PassPlan:
    """One run over a plane: a network with global layers needs several, others one.

    Attributes:
        grid: The tiles of the pass's output plane.
        work: Multiply-adds of all tiles, per frame.
        peak_elements: The most elements that one tile holds at once, per frame.
        peak_bytes: The most memory held at once during the pass, per frame.
    """

    grid: Grid
    work: int
    peak_elements: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class TilePlan:
    """What a decode or an encode will do, known before it starts; ``str(plan)`` says it in words.

    Attributes:
        model: Name of the model.
        action: "decode" or "encode".
        frames: Pictures to make; None when that is not known beforehand.
        latents: Height and width of the plane of latents.
        pixels: Height and width of the picture, in pixels.
        overlap: "exact", or latents of blended overlap on every side of a tile.
        crops: Rows and columns of the pieces, in latents, that are computed each as a picture of
            its own; one piece unless blended.
        batch: Frames computed together.
        passes: The runs over the plane (of the largest crop), in order.
        work: Multiply-adds per frame.
        undivided_work: Multiply-adds per frame of the undivided picture.
        budget_bytes: The memory the plan was asked to stay under.
        where: Device, dtype and backend, for the reader.
    """

    model: str
    action: str
    frames: int | None
    latents: Size
    pixels: Size
    overlap: int | str
    crops: tuple[tuple[Interval, ...], tuple[Interval, ...]]
    batch: int
    passes: tuple[PassPlan, ...]
    work: int
    undivided_work: int
    budget_bytes: int
    where: str

    @property
    def tile(self) -> Size:
        """The largest tile of the last and costliest pass, in latents."""
        return self.passes[-1].grid.tile

    @property
    def tiles(self) -> int:
        """Tiles per picture in the last pass."""
        return len(self.crops[0]) * len(self.crops[1]) * len(self.passes[-1].grid)

    @property
    def recompute(self) -> float:
        """Arithmetic done more than once, as a share of the undivided picture's."""
        return self.work / self.undivided_work - 1

    @property
    def peak_bytes(self) -> int:
        """The most memory held at once, the finished output aside."""
        return self.batch * max(each.peak_bytes for each in self.passes)

    def __str__(self) -> str:
        count = "frames as they come" if self.frames is None else _plural(self.frames, "frame")
        goal = "latents" if self.action == "encode" else "pixels"
        made = self.latents if self.action == "encode" else self.pixels
        together = f", {self.batch} frames at a time" if self.batch > 1 else ""
        return (
            f"{self.action} {count} of {made} {goal} with {self.model} on {self.where}:"
            f" {self._how_cut()}{together}; recompute {self.recompute:.1%}, peak"
            f" {format_bytes(self.peak_bytes)} of {format_bytes(self.budget_bytes)}"
        )

    def _how_cut(self) -> str:
        grid = self.passes[-1].grid
        passes = f", in {len(self.passes)} passes" if len(self.passes) > 1 else ""
        if len(grid) == 1:
            exact = "undivided"
        else:
            exact = f"{_plural(len(grid), 'exact tile')} of up to {grid.tile} latents"
        if self.overlap == "exact":
            return exact + passes
        rows, columns = self.crops
        crop = Size(max(row.size for row in rows), max(column.size for column in columns))
        return (
            f"{_plural(len(rows) * len(columns), 'crop')} of up to {crop} latents, blended over"
            f" {self.overlap} on each side, each {exact}{passes}"
        )

    def to_json(self) -> dict[str, object]:
        """The plan as plain values, sizes as [height, width]."""
        return {
            "model": self.model,
            "action": self.action,
            "where": self.where,
            "frames": self.frames,
            "latents": [self.latents.height, self.latents.width],
            "pixels": [self.pixels.height, self.pixels.width],
            "tile": [self.tile.height, self.tile.width],
            "tiles": self.tiles,
            "overlap": self.overlap,
            "passes": len(self.passes),
            "batch": self.batch,
            "recompute": self.recompute,
            "peak_bytes": self.peak_bytes,
            "budget_bytes": self.budget_bytes,
        }


def choose_tile(
    peak_bytes: Mapping[Size, int],
    seconds: Mapping[Size, float],
    budget_bytes: int,
    *,
    patience: float = 0.0,
) -> Size | None:
    """The quickest tile whose peak fits the budget, or a smaller one that is hardly slower.

    Args:
        peak_bytes: The peak of every tile there is to choose from.
        seconds: What each of them takes, in any unit.
        budget_bytes: What the peak may be.
        patience: A tile of a lower peak is taken if it takes at most this share longer.

    Returns:
        None if no tile fits.

    >>> small, large = Size(8, 8), Size(16, 16)
    >>> choose_tile({small: 64, large: 256}, {small: 2.0, large: 1.0}, budget_bytes=200)
    Size(height=8, width=8)
    >>> choose_tile({small: 64, large: 256}, {small: 1.02, large: 1.0}, 300, patience=0.05)
    Size(height=8, width=8)
    """
    fitting = [tile for tile, peak in peak_bytes.items() if peak <= budget_bytes]
    if not fitting:
        return None
    longest = min(seconds[tile] for tile in fitting) * (1 + patience)
    quick = [tile for tile in fitting if seconds[tile] <= longest]
    return min(quick, key=lambda tile: (peak_bytes[tile], seconds[tile]))


def format_bytes(count: int) -> str:
    """``count`` bytes in the unit a person would use.

    >>> format_bytes(320 * 2**20)
    '320 MiB'
    """
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{_three_digits(size)} {unit}"
        size /= 1024
    return f"{_three_digits(size)} TiB"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
