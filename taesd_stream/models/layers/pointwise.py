"""Layers that make every element of the same element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Operator, Rectify, on_tensor
from taesd_stream.models.layers.span import Span

__all__ = [
    "FirstChannels",
    "ReLU",
    "Scale",
    "SignedToUnit",
    "SoftClamp",
    "SumOfPlanes",
    "UnitToSigned",
]


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


class UnitToSigned(Layer):
    """[0, 1] to [-1, 1]."""

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(_to_signed)

    def plain(self, tensor: Tensor) -> Tensor:
        return _to_signed(tensor)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 2 * super().peak(rows, columns, channels)


class Scale(Layer):
    """factor * x + offset, with a factor and an offset for each channel.

    Args:
        factors: For each channel.
        offsets: The same; none is zeros.
    """

    def __init__(self, factors: Sequence[float], offsets: Sequence[float] = ()) -> None:
        super().__init__()
        self.factors = tuple(factors)
        self.offsets = tuple(offsets) or (0.0,) * len(factors)
        # Not buffers: those of a network that is made without weights hold nothing.
        self._on = lru_cache(maxsize=4)(self._columns)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(lambda tensor: _scaled(tensor, *self._on(tensor.device, tensor.dtype)))

    def plain(self, tensor: Tensor) -> Tensor:
        return _scaled(tensor, *self._columns(tensor.device, tensor.dtype))

    def _columns(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        both = torch.tensor([self.factors, self.offsets], dtype=dtype, device=device)
        factors, offsets = both[:, None, :, None, None]
        return factors, offsets

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 2 * super().peak(rows, columns, channels)


class SumOfPlanes(Layer):
    """The sum of planes whose channels lie side by side, each with a factor.

    Args:
        factors: For each plane.
    """

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__()
        self.factors = tuple(factors)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(self.plain)

    def plain(self, tensor: Tensor) -> Tensor:
        first, *others = tensor.chunk(len(self.factors), dim=1)
        made = first * self.factors[0]
        for plane, factor in zip(others, self.factors[1:], strict=True):
            made = torch.add(made, plane, alpha=factor)
        return made

    def out_channels(self, channels: int) -> int:
        return channels // len(self.factors)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 2 * super().peak(rows, columns, channels)


class FirstChannels(Layer):
    """The first of its channels.

    Args:
        kept: How many.
    """

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.kept = kept

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(self.plain)

    def plain(self, tensor: Tensor) -> Tensor:
        return tensor[:, : self.kept]

    def out_channels(self, channels: int) -> int:
        return self.kept


def _to_signed(tensor: Tensor) -> Tensor:
    return tensor * 2 - 1


def _scaled(tensor: Tensor, factors: Tensor, offsets: Tensor) -> Tensor:
    return torch.addcmul(offsets, tensor, factors)


def _soft_clamped(tensor: Tensor) -> Tensor:
    return torch.div(tensor, 3).tanh_().mul(3)  # a gradient goes by what tanh made


def _to_unit(tensor: Tensor) -> Tensor:
    return tensor.mul_(0.5).add_(0.5)
