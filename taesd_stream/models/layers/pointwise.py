"""Layers that make every element of the same element."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Operator, Rectify, on_tensor
from taesd_stream.models.layers.span import Span

__all__ = ["ReLU", "SignedToUnit", "SoftClamp"]


class ReLU(Layer):
    """max(x, slope * x), in place: its input is always another layer's fresh output.

    Args:
        slope: Of negative values.
    """

    def __init__(self, slope: float = 0) -> None:
        super().__init__()
        self.slope = slope

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield Rectify(self.slope)

    def plain(self, tensor: Tensor) -> Tensor:
        return F.leaky_relu(tensor, self.slope) if self.slope else F.relu(tensor)

    def signs(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.want.size * columns.want.size * channels


class SoftClamp(Layer):
    """3 tanh(x / 3): the range that TAESD squeezes its latents into."""

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(_soft_clamped)

    def plain(self, tensor: Tensor) -> Tensor:
        return 3 * torch.tanh(tensor / 3)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 3 * super().peak(rows, columns, channels)


class SignedToUnit(Layer):
    """[-1, 1] to [0, 1], in place: its input is always another layer's fresh output."""

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(_to_unit)

    def plain(self, tensor: Tensor) -> Tensor:
        return tensor * 0.5 + 0.5


def _soft_clamped(tensor: Tensor) -> Tensor:
    return torch.div(tensor, 3).tanh_().mul(3)  # a gradient goes by what tanh made


def _to_unit(tensor: Tensor) -> Tensor:
    return tensor.mul_(0.5).add_(0.5)
