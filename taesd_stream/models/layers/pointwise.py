"""Layers that make every element of the same element."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["ReLU", "SignedToUnit", "SoftClamp", "rectified"]


class ReLU(Layer):
    """max(x, slope * x), in place: its input is always another layer's fresh output.

    Args:
        slope: Of negative values.
    """

    def __init__(self, slope: float = 0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        return rectified(tensor, self.slope)


class SoftClamp(Layer):
    """3 tanh(x / 3): the range that TAESD squeezes its latents into."""

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        return torch.tanh(tensor / 3).mul_(3)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 3 * super().peak(rows, columns, channels)


class SignedToUnit(Layer):
    """[-1, 1] to [0, 1], in place: its input is always another layer's fresh output."""

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        return tensor.mul_(0.5).add_(0.5)


def rectified(tensor: Tensor, slope: float = 0) -> Tensor:
    """max(x, slope * x), in place."""
    return F.leaky_relu_(tensor, slope) if slope else torch.relu_(tensor)
