"""In which order tiles and time steps go, and where what tiles remember lies meanwhile."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from taesd_stream.engine.budget import default_budget
from taesd_stream.engine.planning.costs import Cut
from taesd_stream.engine.running.state_storage import HomeName
from taesd_stream.models.network import Network
from tiling import BandPlan, MemoryPlan, Size, View, format_bytes

__all__ = ["MOST_STEPS", "SPILLING", "Budget", "Course", "Order", "Way", "orders"]

MOST_STEPS = 16
"""Steps computed together at most."""

# What a writer of rows may hold: blocks of tiles that are being compressed.
_LEAST_FOR_WRITING = 8 << 20
_MOST_FOR_WRITING = 64 << 20

# What it costs to move states out of the way and back at each tile's turn. On a CPU, with scratch
# files, turns of one step took 1.02 (TAEHV) and 1.13 times as long (TAESDV), of four steps 0.98 and
# 1.02 times. A GPU's copies to the host were not measured and are taken to cost the same.
_MOVED = 1.1


@dataclass(frozen=True, slots=True)
class Course:
    """How steps come and how what they make goes out.

    Attributes:
        steps: Time steps, or pictures, that will come; None if nobody knows.
        pictures: What to call their number, for the reader: pictures made or read; None if unknown.
        ahead: The most steps taken in before what the first of them makes goes out; None if all
            are at hand, and what they make has its place.
        bands: Whether it goes out row of tiles by row of tiles, as bytes.
    """

    steps: int | None
    pictures: int | None
    ahead: int | None
    bands: bool = False

    @property
    def has_place(self) -> bool:
        """Whether output needs no room besides the place that the caller has for it."""
        return self.ahead is None


@dataclass(frozen=True, slots=True)
class Order:
    """One way to go about a video.

    Attributes:
        home: Where a tile's memory lies while others have their turn.
        whole: Whether each tile goes through all steps in one turn.
        costs: How many times as long it takes as with states at hand.
    """

    home: HomeName
    whole: bool = False
    costs: float = 1.0


SPILLING = Order("scratch", costs=_MOVED)
"""For networks of several passes: what these leave for each other lies in a temporary file."""


def orders(course: Course, device: torch.device) -> tuple[Order, ...]:
    """The ways to go about a video, best first."""
    if course.has_place:
        return (Order("device", whole=True),)
    found = [Order("device")]
    if course.steps is not None and 1 < course.steps <= (course.ahead or 1):
        found.append(Order("device", whole=True))
    if device.type != "cpu":
        found.append(Order("host", costs=_MOVED))
    return (*found, Order("scratch", costs=_MOVED))


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory to stay under.

    Attributes:
        bytes: How much.
        is_firm: Whether the caller named it. A tile that the caller named may exceed a budget that
            was only read off the machine, never one that was asked for.
    """

    bytes: int
    is_firm: bool

    def __str__(self) -> str:
        return f"{format_bytes(self.bytes)} {'asked for' if self.is_firm else 'to be had'}"


@dataclass(frozen=True, slots=True)
class Way:
    """One order for a given video, and what it holds besides what a tile needs.

    Attributes:
        view: Which part of the output is made, and where planes go around.
        crops: How many pieces of the picture are computed each as a picture of its own.
        together: The most steps that the device gains by when they are computed together.
    """

    network: Network
    plane: Size
    order: Order
    course: Course
    budget: Budget
    view: View
    crops: int
    together: int

    @property
    def is_last_resort(self) -> bool:
        return self.order.home == "scratch" or self.course.has_place

    @property
    def spills(self) -> bool:
        """Whether what passes leave for each other lies in a temporary file."""
        return self.order is SPILLING

    def bands(self, cut: Cut) -> BandPlan | None:
        """Where rows of finished tiles wait; None if a picture goes out as a whole.

        One is being made, one waits, and one is being written. They wait in a file where that would
        be more than a third of the budget.
        """
        if not self.course.bands:
            return None
        width = self.view.made(self.network.out_plane(self.plane)).width
        rows = 3 * 3 * width * cut.grid.tile.height * cut.grid.cell
        writing = min(_MOST_FOR_WRITING, max(_LEAST_FOR_WRITING, self.budget.bytes // 16))
        in_file = rows > self.budget.bytes // 3
        return BandPlan(in_file, 0 if in_file else rows, writing)

    @property
    def _step_bytes(self) -> int:
        """Finished bytes of what one step makes."""
        up, down = self.network.rate
        pixels = self.network.out_plane(self.plane).area * 3 * up // down
        return self.crops * pixels if self.network.scale[1] == 1 else 0

    @property
    def segment(self) -> int | None:
        """Steps that a tile goes through in its turn."""
        if self.order.whole:
            return None
        ahead = self.course.ahead or 1
        if self.order.home == "device":
            ahead = min(ahead, self.together)
        room = self.budget.bytes // (4 * max(1, self._step_bytes))
        return max(1, min(ahead, room))

    def memory(self, cut: Cut) -> MemoryPlan | None:
        """What tiles remember; None if nothing."""
        if not self.network.stateful:
            return None
        # While a tile is computed, what it remembered before is held too.
        held = 2 * cut.tile_bytes
        steps = self.course.steps if self.segment is None else self.segment
        if not self.course.has_place:
            held += self._step_bytes * ((steps or 1) - 1)
        tiles = cut.tile_bytes if self.order.whole else self.crops * cut.tiles_bytes
        if self.order.home == "device" and not self.order.whole:
            held += tiles
        elif self.order.home != "device":
            held += cut.tile_bytes
        return MemoryPlan(self.segment, self.order.home, tiles, held)

    def peak_bytes(self, cut: Cut) -> int:
        """The most that is held at once; more than there can be where the host has no room."""
        memory = self.memory(cut)
        if memory is None:
            bands = self.bands(cut)
            return cut.peak_bytes + (bands.held_bytes if bands is not None else 0)
        if memory.home == "host" and memory.tiles_bytes > default_budget(torch.device("cpu")):
            return sys.maxsize
        return cut.peak_bytes + memory.held_bytes
