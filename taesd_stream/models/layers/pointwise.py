"""Layers that make every element of the same element."""

from __future__ import annotations

import torch
from torch import Tensor

from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["ReLU", "SoftClamp"]


class ReLU(Layer):
    """max(x, 0), in place: its input is always another layer's fresh output."""

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        return torch.relu_(tensor)


class SoftClamp(Layer):
    """3 tanh(x / 3): the range that TAESD squeezes its latents into."""

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        return torch.tanh(tensor / 3).mul_(3)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 3 * super().peak(rows, columns, channels)
