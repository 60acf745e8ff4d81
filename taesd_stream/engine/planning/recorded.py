"""Plans for going back through a network: tiles that are recorded, and states to go on from."""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.engine.planning.costs import CostModel, TiledCost
from taesd_stream.engine.planning.planner import Planner
from taesd_stream.engine.planning.strategies import Candidate, Strategy
from taesd_stream.engine.settings import Settings
from taesd_stream.models.network import Network
from tiling import StatePlan, TilePlan

__all__ = ["BackwardPlanner", "kept_states"]

# A forward pass takes one; to go back through what it did takes as long, where all of it is
# recorded on the way, and as long again where states have to be found first.
_RECORDED = Strategy("device", whole=True, costs=2.0)
_IN_SEGMENTS = Strategy("device", whole=True, costs=3.0)
_THROUGH_SCRATCH = Strategy("scratch", costs=2.2)
# What a segment goes on from and leaves, and the gradients of both.
_ALWAYS_HELD = 4


@dataclass(frozen=True, slots=True)
class _Recorded(Candidate):
    """A strategy for going back, and the memory that it takes."""

    @property
    def through_scratch(self) -> bool:
        return self.strategy is _THROUGH_SCRATCH

    def state(self, cost: TiledCost) -> StatePlan | None:
        """The states that a tile keeps on its way, to go on from; None if there are none."""
        if not self.network.stateful:
            return None
        one = cost.tile_bytes * cost.cores.threads
        recorded = self.batch(cost)
        room = (self._left(cost) - recorded * cost.peak_bytes) // max(1, one)
        states = max(2, min(-(-self._steps // recorded), room))
        return StatePlan(None, "device", cost.tile_bytes, (_ALWAYS_HELD + states) * one)

    def batch(self, cost: TiledCost) -> int:
        """Pictures computed together, or the steps of a video that are recorded at once."""
        if not self.network.stateful:
            return Candidate.batch(self, cost)
        if self.strategy is _RECORDED:
            return self._steps
        left, one = self._left(cost), cost.tile_bytes * cost.cores.threads
        most = min(self._steps, left // max(1, cost.peak_bytes))
        fitting = (
            steps
            for steps in range(most, 0, -1)
            if steps * cost.peak_bytes + -(-self._steps // steps) * one <= left
        )
        return next(fitting, 1)

    def peak_bytes(self, cost: TiledCost) -> int:
        """The most that is held at once."""
        state = self.state(cost)
        if state is None:
            return cost.peak_bytes
        return self.batch(cost) * cost.peak_bytes + state.held_bytes

    @property
    def _steps(self) -> int:
        return self.workload.steps or 1

    def _left(self, cost: TiledCost) -> int:
        """What of the budget there is for recordings, and for states between them."""
        return self.budget.bytes - _ALWAYS_HELD * cost.tile_bytes * cost.cores.threads


class BackwardPlanner(Planner):
    """Makes plans for going back through one network.

    Args:
        model: The model's name.
        network: The encoder or the decoder.
        settings: Where and how it computes, in PyTorch's own kernels.
    """

    candidate = _Recorded
    most_abreast = 1

    def __init__(self, model: str, network: Network, settings: Settings) -> None:
        super().__init__(
            model, network, settings, costs=CostModel(network, settings, goes_back=True)
        )

    def _strategies(self, asked: Candidate) -> tuple[Strategy, ...]:
        if self._network.stateful:
            return _RECORDED, _IN_SEGMENTS
        return (_RECORDED, _THROUGH_SCRATCH) if len(self._network.passes) > 1 else (_RECORDED,)

    def _action(self) -> str:
        return f"{super()._action()} backward"


def kept_states(plan: TilePlan) -> int:
    """The states of a tile that a plan has room for, beside those that are always held."""
    if plan.state is None:
        return 0
    one = max(1, plan.state.tiles_bytes * plan.threads)
    return max(2, plan.state.held_bytes // one - _ALWAYS_HELD)
