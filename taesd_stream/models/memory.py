"""What layers keep of earlier time steps.

A memory belongs to one tile of one video and is explicit: a layer is handed what it kept before and
hands back what it keeps now. Nothing is changed in place, so a step that fails can be run again.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ["Memory"]


class Memory:
    """What the layers of a network kept of the steps before, and what they keep of this one.

    Args:
        before: (steps, C, h, w) of every layer that has kept anything, over the part of its input
            plane that the tile reads.

    Attributes:
        after: The same after this step. A layer that the step did not reach keeps what it had.
    """

    def __init__(self, before: Mapping[nn.Module, Tensor] | None = None) -> None:
        self._before: Mapping[nn.Module, Tensor] = before or {}
        self.after: dict[nn.Module, Tensor] = dict(self._before)

    def recall(self, layer: nn.Module) -> Tensor | None:
        """What a layer kept; None at the beginning of a video."""
        return self._before.get(layer)

    def keep(self, layer: nn.Module, steps: Tensor) -> None:
        """Keep (steps, C, h, w) for a layer, in place of what it kept before."""
        self.after[layer] = steps

    def forget(self, layer: nn.Module) -> None:
        """Keep nothing for a layer."""
        self.after.pop(layer, None)
