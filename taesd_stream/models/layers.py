"""Layers that know which input they need for which output.

Every layer takes a tensor that covers a part of its input plane and returns exactly the part of its
output plane that it was asked for. Zeros are padded only where a footprint reaches past a true
border of the plane, so any division into tiles computes what the undivided network computes.

Tensors are (N, C, height, width), N being pictures or the time steps of a video in order. All
footprints are square, so rows and columns follow the same rule and are described by one ``Span``
each, in elements of the layer's own scale. Layers that look back in time keep what they need of
earlier steps in a ``Memory``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.memory import Memory
from tiling import POINTWISE, Footprint, Interval

__all__ = [
    "Conv",
    "Layer",
    "ReLU",
    "SmoothUpsample",
    "SoftClamp",
    "Span",
    "Upsample",
    "crop",
]


@dataclass(frozen=True, slots=True)
class Span:
    """What a layer is asked to do along one axis.

    Attributes:
        have: What the input covers: exactly what ``want`` is made of.
        want: What the output shall cover.
        size: Length of the whole input axis.
    """

    have: Interval
    want: Interval
    size: int


class Layer(nn.Module):
    """Base of all layers: elementwise unless a subclass says otherwise.

    Attributes:
        footprint: What it reads along a side of the plane.
        time: What it reads along time.
        kept_steps: The most time steps of its input that it keeps for later ones.
    """

    footprint: Footprint = POINTWISE
    time: Footprint = POINTWISE
    kept_steps: int = 0

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        """The output over the spans' ``want`` of a tensor over their ``have``."""
        raise NotImplementedError

    def reads(self, want: Interval, size: int) -> Interval:
        """The part of an input axis of ``size`` that ``want`` is made of."""
        return self.footprint.reads(want).clip(0, size)

    def span(self, want: Interval, size: int) -> Span:
        """The task of making ``want`` from an input axis of ``size``."""
        return Span(self.reads(want, size), want, size)

    def out_size(self, size: int) -> int:
        """Length of the output axis for an input axis of ``size``."""
        return self.footprint.out_size(size)

    def footprints(self) -> Iterator[Footprint]:
        """The footprints of the widest path through the layer."""
        yield self.footprint

    def out_channels(self, channels: int) -> int:
        """Channels of the output for an input of ``channels``."""
        return channels

    def densities(self, channels: int) -> Iterator[Fraction | int]:
        """Multiply-adds per output element and input step of each part that multiplies."""
        yield from ()

    def extents(self, span: Span) -> Iterator[int]:
        """Output elements along one axis of the same parts, in the same order."""
        yield from ()

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        """The most elements held at once for one input step, input and output included."""
        return rows.want.size * columns.want.size * channels


class Conv(Layer):
    """A convolution with a square kernel that keeps the plane's size, divided by its stride.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        kernel: Side of the kernel; odd.
        stride: Input elements from one output element to the next.
        bias: Whether there is one.
        groups: Into how many groups the channels fall that do not see each other.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        bias: bool = True,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.footprint = Footprint(kernel=kernel, stride=stride, padding=kernel // 2)
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out)) if bias else None

    def zeros(self, span: Span) -> tuple[int, int]:
        """Zeros that belong before and after the input."""
        reads = self.footprint.reads(span.want)
        return span.have.start - reads.start, reads.stop - span.have.stop

    def _one_padding(self, span: Span) -> int | None:
        """The padding on both sides that yields just what is wanted, if there is one."""
        before, after = self.zeros(span)
        kernel, stride = self.footprint.kernel, self.footprint.stride
        same = Footprint(kernel=kernel, stride=stride, padding=before)
        fits = before == after or same.out_size(span.have.size) == span.want.size
        return before if fits else None

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        high, wide = self._one_padding(rows), self._one_padding(columns)
        if high is None or wide is None:
            tensor = F.pad(tensor, (*self.zeros(columns), *self.zeros(rows)))
            high = wide = 0
        return F.conv2d(
            tensor, self.weight, self.bias, self.footprint.stride, (high, wide), groups=self.groups
        )

    def out_channels(self, channels: int) -> int:
        return self.weight.shape[0]

    def densities(self, channels: int) -> Iterator[Fraction | int]:
        yield self.weight.numel()

    def extents(self, span: Span) -> Iterator[int]:
        yield span.want.size

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        read = rows.have.size * columns.have.size * channels
        written = rows.want.size * columns.want.size * self.out_channels(channels)
        if self._one_padding(rows) is not None and self._one_padding(columns) is not None:
            return read + written
        padded = self.footprint.reads(rows.want).size * self.footprint.reads(columns.want).size
        return read + padded * channels + written


class ReLU(Layer):
    """max(x, 0), in place: its input is always another layer's fresh output."""

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        return torch.relu_(tensor)


class SoftClamp(Layer):
    """3 tanh(x / 3): the range that TAESD squeezes its latents into."""

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        return torch.tanh(tensor / 3).mul_(3)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 3 * super().peak(rows, columns, channels)


class Upsample(Layer):
    """Every element repeated ``factor`` times along both axes (nearest neighbour)."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(upscale=factor)

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        large = F.interpolate(tensor, scale_factor=self.factor, mode="nearest")
        return crop(large, rows, columns, self.factor)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.have.size * columns.have.size * channels * (1 + self.factor**2)


class SmoothUpsample(Layer):
    """Bicubic interpolation (a = -0.75) to ``factor`` times the size.

    Past the plane's borders the nearest element is read. ``factor`` is a power of two: that keeps
    the sampling positions exact in floating point wherever a tile begins.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(kernel=4 * factor + 1, padding=2 * factor, upscale=factor)

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        large = F.interpolate(tensor, scale_factor=self.factor, mode="bicubic", align_corners=False)
        return crop(large, rows, columns, self.factor)

    def densities(self, channels: int) -> Iterator[Fraction | int]:
        yield 16 * channels

    def extents(self, span: Span) -> Iterator[int]:
        yield span.have.size * self.factor

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.have.size * columns.have.size * channels * (1 + self.factor**2)


def crop(tensor: Tensor, rows: Span, columns: Span, factor: int = 1) -> Tensor:
    """What the spans want, out of a tensor over ``factor`` times what they have; a view."""
    y = rows.want.within(rows.have.scale(factor))
    x = columns.want.within(columns.have.scale(factor))
    return tensor[:, :, y, x]
