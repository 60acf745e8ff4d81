"""Nearest upsampling and the convolution after it, as one layer that does less arithmetic.

Of the nine taps of a 3x3 window over a picture enlarged twofold, several fall on the same pixel of
the small picture. Adding up their weights beforehand leaves four 2x2 windows, one for each pixel of
a 2x2 square of the result (the sub-pixel convolution of Shi et al., CVPR 2016, read backwards): 16
multiply-adds where there were 36.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.convolve import convolve
from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.layers.upsampling import Upsample
from tiling import Footprint, Interval

__all__ = ["EnlargingConv", "fuse_enlarging"]


class EnlargingConv(Layer):
    """Every element repeated twice along both axes, and a 3x3 convolution over that.

    Args:
        conv: The convolution. Its weights stay its own; until ``fold``, every call folds them.
    """

    footprint = Footprint(kernel=3, padding=1, upscale=2)

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        self.conv = conv
        self._folded: Tensor | None = None

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        weight = _folded(self.conv.weight) if self._folded is None else self._folded
        high, wide = _windows(rows.want), _windows(columns.want)
        squares = convolve(_padded(tensor, high, wide, rows, columns), weight)
        channels = self.conv.weight.shape[0]
        size = (rows.want.size, columns.want.size)
        made = tensor.new_empty((tensor.shape[0], *size, channels)).movedim(3, 1)
        phases = torch.split(squares, channels, dim=1)
        for down, right in product((0, 1), (0, 1)):
            to_y, from_y = _phase(rows.want, high, down)
            to_x, from_x = _phase(columns.want, wide, right)
            made[:, :, to_y, to_x] = phases[2 * down + right][:, :, from_y, from_x]
        return made if self.conv.bias is None else made.add_(self.conv.bias[:, None, None])

    def fold(self) -> None:
        self._folded = _folded(self.conv.weight)

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
        made = rows.want.size * columns.want.size
        return read + (4 * high.size * wide.size + made) * self.out_channels(channels)


def _folded(weight: Tensor) -> Tensor:
    """The windows of the four pixels, row by row.

    (C', C, 3, 3) over an enlarged picture to (4 C', C, 2, 2) over the small one.

    >>> _folded(torch.ones(1, 1, 3, 3)).flatten(1).tolist()[0]
    [1.0, 2.0, 2.0, 4.0]
    """
    # The first pixel of a square sees one small pixel once and the next twice, the second the
    # other way round. Sums are of float32: of bfloat16 they would be rounded twice.
    squares = torch.tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
    squares = squares.to(weight.device, torch.float32)
    folded = torch.einsum("oiyx,ahy,bwx->aboihw", weight.float(), squares, squares)
    return folded.flatten(0, 2).to(weight.dtype).contiguous(memory_format=torch.channels_last)


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


def _windows(want: Interval) -> Interval:
    """The 2x2 windows that make ``want``: window i reads the small elements i and i + 1."""
    if not want.size:
        return Interval(want.start // 2, want.start // 2)
    return Interval((want.start - 1) // 2, (want.stop - 2) // 2 + 1)


def _padded(tensor: Tensor, high: Interval, wide: Interval, rows: Span, columns: Span) -> Tensor:
    """The elements that the windows read, with zeros where that lies past the plane."""
    above, below = rows.have.start - high.start, high.stop + 1 - rows.have.stop
    left, right = columns.have.start - wide.start, wide.stop + 1 - columns.have.stop
    return F.pad(tensor, (left, right, above, below)) if above or below or left or right else tensor


def _phase(want: Interval, windows: Interval, second: int) -> tuple[slice, slice]:
    """Where every other element of ``want`` lies in it, and in what the windows made.

    Args:
        second: 0 for the elements of even index, 1 for those of odd index.
    """
    first = want.start + (want.start + second) % 2
    # Element p is made by window (p - 1) // 2.
    window = (first - 1) // 2 - windows.start
    count = max(0, (want.stop - first + 1) // 2)
    return slice(first - want.start, None, 2), slice(window, window + count)
