"""Layers that know which input they need for which output.

Every layer takes a tensor that covers a part of its input plane and returns exactly the part of its
output plane that it was asked for. Zeros are padded only where a footprint reaches past a true
border of the plane, so any division into tiles computes what the undivided network computes.

Tensors are (N, C, height, width), N being pictures or the time steps of a video in order. All
footprints are square, so rows and columns follow the same rule and are described by one ``Span``
each, in elements of the layer's own scale. Layers that look back in time keep what they need of
earlier steps in a ``Memory``.

A tile may go on where the one to its left ended: then every layer makes only what it has not made
yet, and reads some of what it has read before (``Carry``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.convolve import convolve
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
        have: Exactly what ``want`` is made of.
        want: What the output shall cover.
        size: Length of the whole input axis.
        carried: How much of the beginning of ``have`` the tile before has left; the rest is given.
    """

    have: Interval
    want: Interval
    size: int
    carried: int = 0

    @property
    def given(self) -> Interval:
        """What the input covers."""
        return Interval(self.have.start + self.carried, self.have.stop)


class Layer(nn.Module):
    """Base of all layers: elementwise unless a subclass says otherwise.

    Attributes:
        footprint: What it reads along a side of the plane.
        time: What it reads along time.
        kept_steps: The most time steps of its input that it keeps for later ones.
        is_made_of_others: Whether it is other layers, arranged in some way.
    """

    footprint: Footprint = POINTWISE
    time: Footprint = POINTWISE
    kept_steps: int = 0
    is_made_of_others: bool = False

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        """The output over the spans' ``want`` of a tensor over their ``have``.

        A layer made of others is given the spans' ``given`` instead: these keep what else they
        need.
        """
        raise NotImplementedError

    def reads(self, want: Interval, size: int) -> Interval:
        """The part of an input axis of ``size`` that ``want`` is made of."""
        return self.footprint.reads(want).clip(0, size)

    def span(self, want: Interval, size: int, *, continued: bool = False) -> Span:
        """The task of making ``want`` from an input axis of ``size``.

        Args:
            continued: Whether all before ``want`` was made just now.
        """
        have = self.reads(want, size)
        if not continued or not want.start:
            return Span(have, want, size)
        known = self.reads(Interval(want.start - 1, want.start), size).stop
        if not want.size:
            return Span(Interval(known, known), want, size)
        return Span(have, want, size, max(0, known - have.start))

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

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        """Elements that are held with its output and are no part of it."""
        return 0

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        """Elements of one input step that the tile to the left has left for this one."""
        return rows.have.size * columns.carried * channels


@dataclass(frozen=True, slots=True)
class _Padding:
    """How a convolution comes by its zeros along an axis.

    To compute an element more on one side and leave it out takes less time than to copy the input
    for the sake of zeros on the other side only.

    Attributes:
        copied: Zeros before and after that the input is copied with.
        given: Zeros on both sides that the kernel is told of.
        first: The first of the elements made that is wanted.
        made: Elements made.
    """

    copied: tuple[int, int]
    given: int
    first: int
    made: int


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
        return _zeros(self.footprint, span)

    def _padding(self, span: Span) -> _Padding:
        return _padding(self.footprint, span)

    def forward(self, tensor: Tensor, rows: Span, columns: Span, memory: Memory) -> Tensor:
        high, wide = self._padding(rows), self._padding(columns)
        if any((*high.copied, *wide.copied)):
            tensor = F.pad(tensor, (*wide.copied, *high.copied))
        made = convolve(
            tensor,
            self.weight,
            self.bias,
            stride=self.footprint.stride,
            padding=(high.given, wide.given),
            groups=self.groups,
        )
        return made[
            :,
            :,
            high.first : high.first + rows.want.size,
            wide.first : wide.first + columns.want.size,
        ]

    def out_channels(self, channels: int) -> int:
        return self.weight.shape[0]

    def densities(self, channels: int) -> Iterator[Fraction | int]:
        yield self.weight.numel()

    def extents(self, span: Span) -> Iterator[int]:
        yield span.want.size

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        read = rows.have.size * columns.have.size * channels
        high, wide = self._padding(rows), self._padding(columns)
        written = high.made * wide.made * self.out_channels(channels)
        if not any((*high.copied, *wide.copied)):
            return read + written
        padded = (rows.have.size + sum(high.copied)) * (columns.have.size + sum(wide.copied))
        return read + padded * channels + written

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        made = self._padding(rows).made * self._padding(columns).made
        return (made - rows.want.size * columns.want.size) * self.out_channels(channels)


def _zeros(footprint: Footprint, span: Span) -> tuple[int, int]:
    reads = footprint.reads(span.want)
    return span.have.start - reads.start, reads.stop - span.have.stop


@lru_cache(maxsize=4096)
def _padding(footprint: Footprint, span: Span) -> _Padding:
    before, after = _zeros(footprint, span)
    padding = max(before, after)
    first, uneven = divmod(padding - before, footprint.stride)
    if uneven:
        return _Padding((before, after), 0, 0, span.want.size)
    made = replace(footprint, padding=padding).out_size(span.have.size)
    return _Padding((0, 0), padding, first, made)


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
