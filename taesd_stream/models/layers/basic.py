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
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.step_memory import Memory
from tiling import POINTWISE, Footprint, Interval

__all__ = [
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

    def writes(self, channels: int) -> Iterator[Fraction | int]:
        """Channels that the same parts write per output element and input step, in that order."""
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

    def writes(self, channels: int) -> Iterator[Fraction | int]:
        yield channels

    def extents(self, span: Span) -> Iterator[int]:
        yield span.have.size * self.factor

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.have.size * columns.have.size * channels * (1 + self.factor**2)


def crop(tensor: Tensor, rows: Span, columns: Span, factor: int = 1) -> Tensor:
    """What the spans want, out of a tensor over ``factor`` times what they have; a view."""
    y = rows.want.within(rows.have.scale(factor))
    x = columns.want.within(columns.have.scale(factor))
    return tensor[:, :, y, x]
