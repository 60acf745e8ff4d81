"""Plans, which are printed before work starts and then carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from tiling.effort import Effort, Moved
from tiling.grid import Grid
from tiling.interval import Interval, Size
from tiling.unit_plan import UnitPlan
from tiling.view import WHOLE, View
from tiling.waiting_plans import BandPlan, StatePlan
from tiling.words import format_bytes, format_seconds, plural

__all__ = [
    "PassPlan",
    "TilePlan",
    "choose_tile",
]

T = TypeVar("T")
_NO_EFFORT = Effort()


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


_NOT_MOVED = Moved()
# Of all work; from here on it grows with the square of the picture.
_MUCH_ATTENTION = 0.25
_MANY_LATENTS = 128**2


@dataclass(frozen=True, slots=True)
class TilePlan:
    """A decode or an encode, known before it starts; ``str(plan)`` says it in words.

    Attributes:
        model: Name of the model.
        action: "decode" or "encode".
        frames: Pictures to make; None when that is not known beforehand.
        latents: Height and width of the plane of latents.
        pixels: Height and width of the picture, in pixels.
        overlap: "exact", or latents of blended overlap on every side of a tile.
        patches: Rows and columns of the pieces, in latents, each a picture of its own if blended.
        batch: Pictures or time steps computed together.
        passes: The runs over the plane (of the largest patch), in order.
        work: Multiply-adds per step.
        undivided_work: Multiply-adds per step of the undivided picture.
        budget_bytes: The memory to stay under.
        where: Device, dtype and backend, for the reader.
        state: What tiles keep between time steps; None if they keep nothing.
        view: Which part of the picture is made, and where it goes around.
        scratch: Whether what passes leave for each other lies in a temporary file.
        moved: How much of it is written and read, if so.
        bands: Where rows of finished tiles wait; None if a picture goes out as a whole.
        noun: What ``frames`` counts, for the reader.
        threads: How many tiles are computed side by side.
        cores: How many cores compute in all; None where that is not ours.
        effort: What a step takes.
        seconds: How long all of it takes on this machine; None where that is not known.
        recorded_bytes: What recordings of the kinds of tiles may hold; 0 if none are made.
        seed: Of the noise that pictures are made of, where a model makes them of noise.
        shortcuts: What is not computed as the network says, in words; empty if all is.
        attention: The share of all work that attention over whole planes is.
        chunk: Frames that are made together, each of all of them; None where each is made alone.
        units: How several workers share the work; None where there is one process.
    """

    model: str
    action: str
    frames: int | None
    latents: Size
    pixels: Size
    overlap: int | str
    patches: tuple[tuple[Interval, ...], tuple[Interval, ...]]
    batch: int
    passes: tuple[PassPlan, ...]
    work: int
    undivided_work: int
    budget_bytes: int
    where: str
    state: StatePlan | None = None
    view: View = WHOLE
    scratch: bool = False
    moved: Moved = _NOT_MOVED
    bands: BandPlan | None = None
    noun: str = "frame"
    threads: int = 1
    cores: int | None = None
    effort: Effort = _NO_EFFORT
    seconds: float | None = None
    recorded_bytes: int = 0
    seed: int = 0
    shortcuts: str = ""
    attention: float = 0.0
    chunk: int | None = None
    units: UnitPlan | None = None

    @property
    def grid(self) -> Grid:
        """The tiles of the last and costliest pass."""
        return self.passes[-1].grid

    @property
    def tile(self) -> Size:
        """The largest of the tiles, in latents."""
        return self.grid.tile

    @property
    def tiles(self) -> int:
        """Tiles per picture."""
        return len(self.patches[0]) * len(self.patches[1]) * len(self.grid)

    @property
    def recompute(self) -> float:
        """Arithmetic done more than once, as a share of the undivided picture's."""
        return self.work / self.undivided_work - 1

    def turn(self, steps: int) -> int:
        """The steps, of so many that come, after which the next tile has its turn."""
        return self.batch if self.state is None else self.state.segment or steps

    @property
    def peak_bytes(self) -> int:
        """The most memory held at once, the finished output aside."""
        waiting = self.state or self.bands
        held = self.recorded_bytes + (0 if waiting is None else waiting.held_bytes)
        return self.batch * max(each.peak_bytes for each in self.passes) + held

    def __str__(self) -> str:
        as_they_come = f"{self.noun}s as they come"
        count = as_they_come if self.frames is None else plural(self.frames, self.noun)
        steps = "steps" if self.state is not None else "frames"
        together = f", {self.batch} {steps} at a time" if self.batch > 1 else ""
        if self.chunk is not None:
            together = f", in chunks of {plural(self.chunk, 'frame')}"
        together += f", {self.state}" if self.state is not None else ""
        together += f", {self.threads} side by side" if self.threads > 1 else ""
        if self.recorded_bytes:
            together += f", recorded in {format_bytes(self.recorded_bytes)}"
        together += f", {self.shortcuts}" if self.shortcuts else ""
        if self.scratch or (self.bands is not None and self.bands.in_file):
            together += ", through scratch files"
            together += f" {self.moved}" if self.moved.written_bytes else ""
        if self.attention > _MUCH_ATTENTION and self.latents.area > _MANY_LATENTS:
            together += (
                f", attention {self.attention:.0%} of the work, which fast attention restricts"
            )
        time = "" if self.seconds is None else f", {format_seconds(self.seconds)}"
        if self.units is not None:
            time = f"; {self.units}"
        return (
            f"{self.action} {count} of {self._what()} with {self.model} on {self.where}:"
            f" {self._how_cut()}{together}; recompute {self.recompute:.1%}, peak"
            f" {format_bytes(self.peak_bytes)} of {format_bytes(self.budget_bytes)}{time}"
        )

    def _what(self) -> str:
        """The picture, or which part of it."""
        what = f"{self.pixels} pixels"
        if self.view.crop is not None:
            what += f" at {self.view.crop.x.start},{self.view.crop.y.start}"
        if self.view.axes:
            what += f", going around along {' and '.join(self.view.axes)},"
        return what

    def _how_cut(self) -> str:
        grid = self.grid
        passes = f", in {len(self.passes)} passes" if len(self.passes) > 1 else ""
        kind = "tile" if self.shortcuts else "exact tile"
        tiles = f"{plural(len(grid), kind)} of up to {grid.tile} latents"
        exact = tiles if len(grid) > 1 else "undivided"
        if self.overlap == "exact":
            return exact + passes
        rows, columns = self.patches
        patch = Size(max(row.size for row in rows), max(column.size for column in columns))
        return (
            f"{plural(len(rows) * len(columns), 'patch')} of up to {patch} latents, blended over"
            f" {self.overlap} on each side, each {exact}{passes}"
        )

    def to_json(self) -> dict[str, object]:
        """The plan as plain values, sizes as [height, width]."""
        return {
            "model": self.model,
            "action": self.action,
            "where": self.where,
            "frames": self.frames,
            "latents": [*self.latents],
            "pixels": [*self.pixels],
            "tile": [*self.tile],
            "tiles": self.tiles,
            "overlap": self.overlap,
            "passes": len(self.passes),
            "batch": self.batch,
            "chunk": self.chunk,
            "threads": self.threads,
            "recorded_bytes": self.recorded_bytes,
            "memory": None if self.state is None else self.state.to_json(),
            "scratch": self.scratch,
            "written_bytes": self.moved.written_bytes,
            "read_bytes": self.moved.read_bytes,
            "crop": self.view.crop and self.view.crop.xywh,
            "wrap": self.view.axes,
            "recompute": self.recompute,
            "peak_bytes": self.peak_bytes,
            "budget_bytes": self.budget_bytes,
            "seconds": self.seconds,
            "shortcuts": self.shortcuts or None,
            "attention": self.attention,
            "units": None if self.units is None else self.units.to_json(),
        }


def choose_tile(
    peak_bytes: Mapping[T, int],
    seconds: Mapping[T, float],
    budget_bytes: int,
    *,
    patience: float = 0.0,
) -> T | None:
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
