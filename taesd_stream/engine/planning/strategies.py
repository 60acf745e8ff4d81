"""Strategies: the order in which tiles and time steps go, and where states lie meanwhile."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from taesd_stream.engine.budget import Budget, default_budget
from taesd_stream.engine.planning.costs import MOST_ELEMENTS, TiledCost
from taesd_stream.models.network import Network
from tiling import BandPlan, Size, StatePlan, StorageKind, View

__all__ = ["THROUGH_SCRATCH", "Candidate", "Strategy", "Workload", "steps_together", "strategies"]

# So many pixels keep a GPU busy in every layer for much longer than it takes to launch it.
_FULL_PIXELS = 16 * 512**2

# Recordings save time where kernels are done sooner than they are launched, and that is where
# tiles are small. They stay when a call is over, so they get no more than this, nor more than this
# share of the budget.
_MOST_RECORDED_BYTES = 1 << 30
_MOST_RECORDED_SHARE = 8

# So many time steps come together for each that may be under way at once: at the end of a turn
# threads have to help each other.
_TURNS_ABREAST = 4

# With so many pictures at hand, or more, all cores have work whatever the tiles.
_MOST_AT_ONCE = 64

# What a writer of rows may hold: blocks of tiles that are being compressed.
_LEAST_FOR_WRITING = 8 << 20
_MOST_FOR_WRITING = 64 << 20

# What it costs to move states out of the way and back at each tile's turn. On a CPU, with scratch
# files, turns of one step took 1.02 (TAEHV) and 1.13 times as long (TAESDV), of four steps 0.98 and
# 1.02 times. A GPU's copies to the host were not measured and are taken to cost the same.
_MOVED = 1.1


@dataclass(frozen=True, slots=True)
class Workload:
    """The way in which steps come and their output goes out.

    Attributes:
        steps: Time steps, or pictures, that will come; None if nobody knows.
        pictures: What to call their number, for the reader: pictures made or read; None if unknown.
        ahead: The most steps taken in before what the first of them makes goes out; None if all
            are at hand, and what they make has its place.
        bands: Whether it goes out row of tiles by row of tiles, as bytes.
    """

    steps: int | None
    pictures: int | None
    ahead: int | None = None
    bands: bool = False

    @property
    def has_place(self) -> bool:
        """Whether output needs no room besides the place that the caller has for it."""
        return self.ahead is None


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to go about a video.

    Attributes:
        storage: Where a tile's state lies while others have their turn.
        whole: Whether each tile goes through all steps in one turn.
        costs: How many times as long it takes as with states at hand.
        abreast: Whether a turn has steps for threads to have several under way at once.
    """

    storage: StorageKind
    whole: bool = False
    costs: float = 1.0
    abreast: bool = False


THROUGH_SCRATCH = Strategy("scratch", costs=_MOVED)
"""For networks of several passes: what these leave for each other lies in a temporary file."""


def steps_together(pixels: int) -> int:
    """The most steps that a GPU gains by when they are computed together.

    Args:
        pixels: That each of them makes, or is made of.

    >>> steps_together(512 * 512), steps_together(64 * 64), steps_together(4096 * 4096)
    (16, 1024, 1)
    """
    return max(1, _FULL_PIXELS // max(1, pixels))


def strategies(
    workload: Workload, device: torch.device, *, abreast: int = 1
) -> tuple[Strategy, ...]:
    """The strategies that a workload allows, best first.

    Args:
        abreast: The most steps that threads may have under way at once.
    """
    if workload.has_place:
        return (Strategy("device", whole=True),)
    found = [Strategy("device")]
    ahead = workload.ahead or 1
    if workload.steps is not None and min(workload.steps, ahead) > 1:
        if abreast > 1:
            found.append(Strategy("device", abreast=True))
        if workload.steps <= ahead:
            found.append(Strategy("device", whole=True))
    if device.type != "cpu":
        found.append(Strategy("host", costs=_MOVED))
    return (*found, Strategy("scratch", costs=_MOVED))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A strategy for a given workload, and the memory it takes besides what a tile needs.

    Attributes:
        view: Which part of the output is made, and where planes go around.
        patches: How many parts of the picture are computed each as a picture of its own.
        together: The most steps that the device gains by when they are computed together; or those
            of a chunk.
        abreast: The most steps that threads may have under way at once, where a video is one tile.
    """

    network: Network
    plane: Size
    strategy: Strategy
    workload: Workload
    budget: Budget
    view: View
    patches: int
    together: int
    abreast: int = 1

    @property
    def is_last_resort(self) -> bool:
        return self.strategy.storage == "scratch" or self.workload.has_place

    @property
    def through_scratch(self) -> bool:
        """Whether what passes leave for each other lies in a temporary file."""
        return self.strategy is THROUGH_SCRATCH

    def bands(self, cost: TiledCost) -> BandPlan | None:
        """The place where finished bands wait; None if a picture goes out as a whole.

        One is being made, one waits, and one is being written. They wait in a file where that would
        be more than a third of the budget.
        """
        if not self.workload.bands:
            return None
        width = self.view.made(self.network.out_plane(self.plane)).width
        rows = 3 * self._pixel_bytes * width * cost.grid.tile.height * cost.grid.cell
        writing = min(_MOST_FOR_WRITING, max(_LEAST_FOR_WRITING, self.budget.bytes // 16))
        in_file = rows > self.budget.bytes // 3
        return BandPlan(in_file, 0 if in_file else rows, writing)

    @property
    def _pixel_bytes(self) -> int:
        """Of a finished pixel, with alpha where the network makes it."""
        return 4 if self.network.out_channels == 4 else 3

    @property
    def _step_bytes(self) -> int:
        """Finished bytes of what one step makes."""
        up, down = self.network.rate
        pixels = self.network.out_plane(self.plane).area * self._pixel_bytes * up // down
        return self.patches * pixels if self.network.decodes else 0

    @property
    def at_once(self) -> int:
        """Pictures that are computed in one run, each by itself, as many as matter.

        Those of a stream are computed one by one, whatever has been read ahead. Of a video it is
        the time steps.
        """
        if self.network.stateful:
            steps = self.workload.steps if self.segment is None else self.segment
            return 1 if self.abreast == 1 else min(steps or 1, _MOST_AT_ONCE)
        if not self.network.takes_pictures_apart or not self.workload.has_place:
            return 1
        return min(self.workload.steps or 1, _MOST_AT_ONCE)

    @property
    def segment(self) -> int | None:
        """Steps that a tile goes through in its turn."""
        if self.strategy.whole:
            return None
        ahead = self.workload.ahead or 1
        if self.strategy.storage == "device":
            abreast = _TURNS_ABREAST * self.abreast if self.strategy.abreast else 1
            ahead = min(ahead, max(self.together, abreast))
        room = self.budget.bytes // (4 * max(1, self._step_bytes))
        return max(1, min(ahead, room))

    def state(self, cost: TiledCost) -> StatePlan | None:
        """The state that tiles keep; None if they keep none."""
        if not self.network.stateful:
            return None
        # While a tile is computed, what it remembered before is held too.
        held = 2 * cost.tile_bytes * cost.cores.threads
        steps = self.workload.steps if self.segment is None else self.segment
        if not self.workload.has_place:
            held += self._step_bytes * ((steps or 1) - 1)
        tiles = cost.tile_bytes if self.strategy.whole else self.patches * cost.tiles_bytes
        if self.strategy.storage == "device" and not self.strategy.whole:
            held += tiles
        elif self.strategy.storage != "device":
            held += cost.tile_bytes * cost.cores.threads
        return StatePlan(self.segment, self.strategy.storage, tiles, held)

    @property
    def chunk(self) -> int:
        """The frames that every tile is made of; 1 where they are not made in chunks."""
        return self.together if self.network.in_chunks else 1

    def batch(self, cost: TiledCost) -> int:
        """Steps computed together."""
        if self.network.in_chunks:
            return self.chunk
        workload, state = self.workload, self.state(cost)
        steps = workload.steps if workload.ahead is None else workload.ahead
        if steps is None:
            return 1
        held = state.held_bytes if state is not None else 0
        affordable = (self.budget.bytes - held) // max(1, cost.peak_bytes)
        correct = MOST_ELEMENTS // max(1, cost.most_elements)
        turn = steps if state is None or state.segment is None else state.segment
        return max(1, min(turn, affordable, correct, self.together))

    def recorded_bytes(self, cost: TiledCost, batch: int) -> int:
        """What recordings may hold beside the peak of a batch; 0 where they are not worth it."""
        needed = cost.recorded_bytes(batch)
        more = (batch // cost.together - 1) * cost.peak_bytes
        left = self.budget.bytes - self.peak_bytes(cost) - more
        worth = min(_MOST_RECORDED_BYTES, self.budget.bytes // _MOST_RECORDED_SHARE)
        return needed if needed <= min(worth, left) else 0

    def peak_bytes(self, cost: TiledCost) -> int:
        """The most that is held at once; more than there can be where the host has no room."""
        state = self.state(cost)
        if state is None:
            bands = self.bands(cost)
            return cost.peak_bytes + (bands.held_bytes if bands is not None else 0)
        if state.storage == "host" and state.tiles_bytes > default_budget(torch.device("cpu")):
            return sys.maxsize
        return cost.peak_bytes + state.held_bytes
