"""Columns that the layers of a tile leave for the tile to its right.

The tiles of a row are computed from left to right. Where a layer reads farther than it writes, the
tile to the right reads some of the same columns again. They are kept, two columns of most layers'
inputs, so that nothing needs to be computed twice along a row (the reuse model of fused-layer
execution: Alwani et al., MICRO 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Carry", "joined"]


class Carry:
    """The last columns that layers have read, from one tile of a row to the next."""

    def __init__(self) -> None:
        self._columns: dict[nn.Module, Tensor] = {}

    def take(self, layer: nn.Module) -> Tensor | None:
        """Give a layer the columns that were left to it, once; None where there are none."""
        return self._columns.pop(layer, None)

    def leave(self, layer: nn.Module, columns: Tensor) -> None:
        """Keep a copy of some columns of what a layer has read, (n, C, h, w)."""
        if columns.shape[3]:
            # A copy, because all that they are cut out of would be held with them.
            self._columns[layer] = columns.clone(memory_format=torch.channels_last)


def joined(before: Tensor | None, new: Tensor) -> Tensor:
    """Columns beside columns."""
    if before is None:
        return new
    return torch.cat([before, new], dim=3) if new.shape[3] else before
