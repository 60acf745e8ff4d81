"""The state of one tile of one video: what its layers keep of earlier time steps.

It is explicit: a layer is handed what it kept before and hands back what it keeps now. What it was
made of is never changed, so a step that fails can be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from torch import Tensor, nn

from taesd_stream.models.layers.carry import Carry
from tiling import Block, Interval, Region, Size

__all__ = ["Known", "LayerStates", "PieceMakers", "Relay", "TileState"]

LayerStates: TypeAlias = Mapping[nn.Module, Tensor]
"""The state of each layer that has any: (steps, C, h, w), a part of its input plane."""

Known: TypeAlias = Mapping[nn.Module, Callable[[Tensor, Block], Tensor]]
"""Layers to what makes a tile, (n, C, h, w), of a tile."""


class PieceMakers(Protocol):
    """Threads that make pieces."""

    @property
    def count(self) -> int:
        """How many threads."""

    def in_a_crowd(self) -> bool:
        """Whether a thread of them lately had to wait for its core, which another program held."""

    def make(self, pieces: Sequence[Interval], work: Callable[[Interval], None], /) -> None:
        """Do ``work`` for every piece; what it raises is raised here when all threads are still."""


class Relay(Protocol):
    """Hands on what layers keep, between time steps of a tile that are under way at once."""

    def take(self, layer: nn.Module, /) -> Tensor | None:
        """What a layer kept of the steps before, once these are past it; None for nothing."""

    def leave(self, layer: nn.Module, steps: Tensor | None, /) -> None:
        """Leave what a layer keeps for the steps after."""


_NOWHERE = Block(Interval(0, 1), Region.whole(Size(0, 0)))


class TileState:
    """The state of a tile while it goes through its next time steps.

    Args:
        kept: The state of every layer that has kept anything, over the part of its input plane
            that the tile reads; not changed.
        together: The most time steps that a layer is given at once, where there is a choice: fewer
            need less memory.
        carry: What the tile to the left has left, and what is left for the one to the right; None
            where every tile is computed for itself.
        makers: Who makes pieces of what an operator makes; None where it is made as a whole.
        known: Norms whose figures are known from elsewhere, completed.
        block: The frames that a tile is of, for these.
        relay: Where a layer's state comes from when it is first asked for, and goes to as soon as
            its last step has come; None where ``kept`` is all of it.

    Attributes:
        kept: The state of every layer now.
        is_last: Whether what is being run are the last of these steps.
        aside: What goes around layers that are being run, to be added to what they make.
    """

    def __init__(
        self,
        kept: LayerStates | None = None,
        *,
        together: int = 1,
        carry: Carry | None = None,
        makers: PieceMakers | None = None,
        known: Known | None = None,
        block: Block = _NOWHERE,
        relay: Relay | None = None,
    ) -> None:
        self.kept = dict(kept or {})
        self.is_last = True
        self._relay = relay
        self._begun: set[nn.Module] = set()
        self.together = together
        self.carry = carry
        self.makers = makers
        self.known: Known = known or {}
        self.block = block
        self.aside: list[Tensor] = []

    def take(self, layer: nn.Module) -> Tensor | None:
        """The columns that the tile to the left has left for a layer, once; None for none."""
        return None if self.carry is None else self.carry.take(layer)

    def leave(self, layer: nn.Module, columns: Tensor) -> None:
        """Leave a copy of columns, (n, C, h, w), for the tile to the right."""
        if self.carry is not None:
            self.carry.leave(layer, columns)

    def recall(self, layer: nn.Module) -> Tensor | None:
        """The steps that a layer kept; None at the beginning of a video."""
        if self._relay is not None and layer not in self._begun:
            self._begun.add(layer)
            before = self._relay.take(layer)
            if before is not None:
                self.kept[layer] = before
        return self.kept.get(layer)

    def keep(self, layer: nn.Module, steps: Tensor) -> None:
        """Keep (steps, C, h, w) for a layer, in place of what it kept before."""
        self.kept[layer] = steps
        self._leave(layer, steps)

    def forget(self, layer: nn.Module) -> None:
        """Keep nothing for a layer."""
        self.kept.pop(layer, None)
        self._leave(layer, None)

    def _leave(self, layer: nn.Module, steps: Tensor | None) -> None:
        if self._relay is not None and self.is_last:
            self._relay.leave(layer, steps)
