"""Nearest upsampling and the convolution after it, as one layer that does less arithmetic.

Of the nine taps of a 3x3 window over a picture enlarged twofold, several fall on the same pixel of
the small picture. Adding up their weights beforehand leaves four 2x2 windows, one for each pixel of
a 2x2 square of the result (the sub-pixel convolution of Shi et al., CVPR 2016, read backwards): 16
multiply-adds where there were 36. A transposed convolution with 4x4 windows does the same in one
kernel; but on a CPU its sums come in another order with another number of cores, and tiles would
differ in their last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.adjoint import EnlargingAdjoint
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.convolving import Convolving
from taesd_stream.models.layers.fixed_conv import Convolution
from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.operators import Enlarge, Operator
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.layers.upsampling import Upsample
from tiling import Footprint, Interval

__all__ = ["EnlargingConv", "fuse_enlarging", "spread_weight"]


class EnlargingConv(Convolving[EnlargingAdjoint]):
    """Every element repeated twice along both axes, and a 3x3 convolution over that.

    Args:
        conv: The convolution. Its weights stay its own; until ``fold``, every call folds them.
    """

    footprint = Footprint(kernel=3, padding=1, upscale=2)

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv

    def plain(self, tensor: Tensor) -> Tensor:
        return self.conv.plain(F.interpolate(tensor, scale_factor=2, mode="nearest"))

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        if self.conv.weight.device.type != "cpu":
            yield self.spread(rows, columns)
            return
        high, wide = _windows(rows.want), _windows(columns.want)
        yield Enlarge(
            self.convolution,
            self.adjoint,
            high.shift(-rows.have.start),
            _zeros(columns, wide),
            _made_by(high, rows.want),
            _made_by(wide, columns.want),
        )

    def spread(self, rows: Span, columns: Span) -> Operator:
        """All of it in one kernel, for devices whose kernels round as they like."""
        y, x = (span.want.within(span.have.scale(2)) for span in (rows, columns))
        return _Spread(spread_weight(self.conv.weight), self.conv.bias, y, x)

    def _made_by(self, make: Callable[..., Convolution]) -> Convolution:
        bias = self.conv.bias
        return make(_folded(self.conv.weight), None if bias is None else bias.repeat_interleave(4))

    def _made_adjoint(self) -> EnlargingAdjoint:
        return EnlargingAdjoint(spread_weight(self.conv.weight))

    def out_channels(self, channels: int) -> int:
        return self.conv.out_channels(channels)

    def work(self, channels: int) -> Iterator[Work]:
        yield Work(Fraction(self.conv.weight.numel() * 4, 9), self.out_channels(channels))

    def extents(self, span: Span) -> Iterator[int]:
        yield 2 * _windows(span.want).size

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        high, wide = _windows(rows.want), _windows(columns.want)
        read = rows.have.size * columns.have.size * channels
        if high.size + 1 != rows.have.size or wide.size + 1 != columns.have.size:
            read += (high.size + 1) * (wide.size + 1) * channels
        squares = 4 * high.size * wide.size * self.out_channels(channels)
        return read + 2 * squares


@dataclass(frozen=True, slots=True)
class _Spread:
    """Every pixel spread over 4x4 by one kernel.

    Attributes:
        weight: (C, C', 4, 4).
        bias: (C',).
        rows: Those that are wanted of twice the rows that are given.
        columns: The same.
    """

    weight: Tensor
    bias: Tensor | None
    rows: slice
    columns: slice

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        large = F.conv_transpose2d(tensor, self.weight, self.bias, stride=2, padding=1)
        return large[:, :, self.rows, self.columns]


def _windows(want: Interval) -> Interval:
    """The 2x2 windows that make ``want``: window i reads the small elements i and i + 1."""
    if not want.size:
        return Interval(want.start // 2, want.start // 2)
    return Interval((want.start - 1) // 2, (want.stop - 2) // 2 + 1)


def _zeros(span: Span, windows: Interval) -> tuple[int, int]:
    """Zeros that windows read before and after what a span has."""
    return span.have.start - windows.start, windows.stop + 1 - span.have.stop


def _made_by(windows: Interval, want: Interval) -> slice:
    """Where ``want`` lies in what windows make: window i the elements 2 i + 1 and 2 i + 2."""
    return want.within(windows.scale(2).shift(1))


def _folded(weight: Tensor) -> Tensor:
    """The windows of the four pixels that every window of the small picture makes.

    (C', C, 3, 3) over an enlarged picture to (4 C', C, 2, 2) over the small one; the four of a
    channel lie side by side.

    >>> _folded(torch.ones(1, 1, 3, 3)).flatten(1).tolist()[0]
    [4.0, 2.0, 2.0, 1.0]
    """
    # A window makes the second pixel of one small pixel, which sees that one twice and the next
    # once, and the first of the next, which sees them the other way round. Sums are of float32 at
    # least: of bfloat16 they would be rounded twice.
    squares = torch.tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]])
    summed = torch.promote_types(weight.dtype, torch.float32)
    squares = squares.to(weight.device, summed)
    folded = torch.einsum("oiyx,ahy,bwx->oabihw", weight.to(summed), squares, squares)
    return folded.flatten(0, 2).to(weight.dtype).contiguous(memory_format=torch.channels_last)


def spread_weight(weight: Tensor) -> Tensor:
    """The windows over which each element of the small picture is spread.

    (C', C, 3, 3) over an enlarged picture to (C, C', 4, 4) from the small one.

    >>> spread_weight(torch.ones(1, 1, 3, 3))[0, 0].tolist()
    [[1.0, 2.0, 2.0, 1.0], [2.0, 4.0, 4.0, 2.0], [2.0, 4.0, 4.0, 2.0], [1.0, 2.0, 2.0, 1.0]]
    """
    # Sums are of float32 at least: of bfloat16 they would be rounded twice.
    summed = torch.promote_types(weight.dtype, torch.float32)
    twice = weight.new_ones(1, 1, 2, 2, dtype=summed)
    flipped = weight.to(summed).flip(2, 3).transpose(0, 1)
    spread = F.conv2d(flipped.flatten(0, 1)[:, None], twice, padding=1)
    return (
        spread.view(*flipped.shape[:2], 4, 4)
        .to(weight.dtype)
        .contiguous(memory_format=torch.channels_last)
    )


def fuse_enlarging(layers: Sequence[Layer]) -> list[Layer]:
    """The same layers, with each upsampling and 3x3 convolution that can be one made one."""
    fused: list[Layer] = []
    for layer in layers:
        before = fused[-1] if fused else None
        doubles = isinstance(before, Upsample) and before.factor == 2
        is_3x3 = layer.footprint == Footprint(kernel=3, padding=1)
        if doubles and is_3x3 and isinstance(layer, Conv) and layer.groups == 1:
            fused[-1] = EnlargingConv(layer)
        else:
            fused.append(layer)
    return fused
