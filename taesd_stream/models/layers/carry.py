"""Columns that the layers of a tile leave for the tile to its right.

The tiles of a row are computed from left to right. Where a layer reads farther than it writes, the
tile to the right reads some of the same columns again. They are kept, two columns of most layers'
inputs, so that nothing needs to be computed twice along a row (the reuse model of fused-layer
execution: Alwani et al., MICRO 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Carry", "held_with", "joined"]

# Columns that are so large a part of others are held with these, which takes less time than a copy.
_WIDER = 3


class Carry:
    """The last columns that layers have read, from one tile of a row to the next."""

    def __init__(self) -> None:
        self._columns: dict[nn.Module, Tensor] = {}

    def take(self, layer: nn.Module) -> Tensor | None:
        """Give a layer the columns that were left to it, once; None where there are none."""
        return self._columns.pop(layer, None)

    def leave(self, layer: nn.Module, whole: Tensor, first: int) -> None:
        """Keep the columns from ``first`` on of what a layer has read, (n, C, h, w)."""
        columns = whole.shape[3] - first
        if not columns:
            return
        kept = whole[..., first:] if first else whole
        if held_with(columns, whole.shape[3]) == columns:
            # A copy, because all that they are cut out of would be held with them.
            kept = kept.clone(memory_format=torch.channels_last)
        self._columns[layer] = kept


def held_with(columns: int, of: int) -> int:
    """How many columns are held where some of so many are left: these, or all.

    >>> held_with(2, 6), held_with(2, 7)
    (6, 2)
    """
    return of if columns and of <= _WIDER * columns else columns


def joined(before: Tensor | None, new: Tensor) -> Tensor:
    """Columns beside columns."""
    if before is None:
        return new
    return torch.cat([before, new], dim=3) if new.shape[3] else before
