"""The convolution layer: zeros where its window reaches past the plane, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.adjoint import ConvAdjoint
from taesd_stream.models.layers.convolving import Convolving
from taesd_stream.models.layers.fixed_conv import Convolution
from taesd_stream.models.layers.layer import Work
from taesd_stream.models.layers.operators import Convolve, Operator
from taesd_stream.models.layers.span import Span
from tiling import Footprint

__all__ = ["Conv"]


@dataclass(frozen=True, slots=True)
class _Padding:
    """How a convolution comes by its zeros along an axis.

    To compute an element more on one side and leave it out takes less time than to copy the input
    for the sake of zeros on the other side only.

    Attributes:
        copied: Zeros before and after that the input is copied with.
        given: Zeros on both sides that the kernel is told of.
        made: Elements made.
        wanted: Those of them that are wanted.
    """

    copied: tuple[int, int]
    given: int
    made: int
    wanted: slice

    @property
    def surplus(self) -> tuple[int, int]:
        """Elements made before and after those that are wanted."""
        return self.wanted.start, self.made - self.wanted.stop


class Conv(Convolving[ConvAdjoint]):
    """A convolution with a square kernel that keeps the plane's size, divided by its stride.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        kernel: Side of the kernel; odd.
        stride: Input elements from one output element to the next.
        bias: Whether there is one.
        groups: Into how many groups the channels fall that do not see each other.
        zeros_after_only: Whether all zeros lie below and to the right of the plane, as many as the
            kernel is larger than the stride.
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
        zeros_after_only: bool = False,
    ) -> None:
        super().__init__()
        self.footprint = Footprint(kernel=kernel, stride=stride, padding=kernel // 2)
        if zeros_after_only:
            self.footprint = Footprint(kernel=kernel, stride=stride, after=kernel - stride)
        self.groups = groups
        self._channels_out = channels_out  # plans ask often, and a parameter is slow to find
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(channels_out)) if bias else None

    def _made_by(self, make: Callable[..., Convolution]) -> Convolution:
        stride = self.footprint.stride
        return make(self.weight, self.bias, stride=stride, groups=self.groups)

    def _made_adjoint(self) -> ConvAdjoint:
        return ConvAdjoint(self.weight, stride=self.footprint.stride, groups=self.groups)

    def plain(self, tensor: Tensor) -> Tensor:
        stride, padding = self.footprint.stride, self.footprint.padding
        if self.footprint.after is not None:
            tensor = F.pad(tensor, (0, self.footprint.after, 0, self.footprint.after))
        return F.conv2d(tensor, self.weight, self.bias, stride, padding, groups=self.groups)

    def zeros(self, span: Span) -> tuple[int, int]:
        """Zeros that belong before and after the input."""
        return _zeros(self.footprint, span)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        high, wide = _padding(self.footprint, rows), _padding(self.footprint, columns)
        copied = (*wide.copied, *high.copied)
        surplus = (*wide.surplus, *high.surplus)
        yield Convolve(
            self.convolution,
            self.adjoint,
            padding=(high.given, wide.given),
            copied=copied if any(copied) else None,
            wanted=(high.wanted, wide.wanted) if any(surplus) else None,
            surplus=surplus,
        )

    def out_channels(self, channels: int) -> int:
        return self._channels_out

    def work(self, channels: int) -> Iterator[Work]:
        yield Work(self.weight.numel(), self.out_channels(channels))

    def extents(self, span: Span) -> Iterator[int]:
        yield span.want.size

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        read = rows.have.size * columns.have.size * channels
        high, wide = _padding(self.footprint, rows), _padding(self.footprint, columns)
        written = high.made * wide.made * self.out_channels(channels)
        if not any((*high.copied, *wide.copied)):
            return read + written
        padded = (rows.have.size + sum(high.copied)) * (columns.have.size + sum(wide.copied))
        return read + padded * channels + written

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        made = _padding(self.footprint, rows).made * _padding(self.footprint, columns).made
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
        return _Padding((before, after), 0, span.want.size, slice(0, span.want.size))
    made = replace(footprint, padding=padding, after=None).out_size(span.have.size)
    return _Padding((0, 0), padding, made, slice(first, first + span.want.size))
