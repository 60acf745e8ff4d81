"""Layers that trade channels for pixels and back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Operator, cut, on_tensor
from taesd_stream.models.layers.span import Span
from tiling import Footprint

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Layer):
    """Channels spread over ``factor`` x ``factor`` elements each."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(upscale=factor)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(self._shuffled)
        yield from cut(rows, columns, self.factor)

    def plain(self, tensor: Tensor) -> Tensor:
        return F.pixel_shuffle(tensor, self.factor)

    def _shuffled(self, tensor: Tensor) -> Tensor:
        large = F.pixel_shuffle(tensor, self.factor)
        return large.contiguous(memory_format=torch.channels_last)

    def out_channels(self, channels: int) -> int:
        return channels // self.factor**2

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        # The shuffle's own output, and that in the other memory format.
        return 3 * rows.have.size * columns.have.size * channels


class PixelUnshuffle(Layer):
    """Squares of ``factor`` x ``factor`` elements gathered into channels.

    Where a side is no multiple of ``factor``, its last element is repeated.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(kernel=factor, stride=factor)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        below = rows.want.stop * self.factor - rows.have.stop
        beside = columns.want.stop * self.factor - columns.have.stop
        if below or beside:
            yield on_tensor(partial(F.pad, pad=(0, beside, 0, below), mode="replicate"))
        yield on_tensor(self._gathered)

    def plain(self, tensor: Tensor) -> Tensor:
        below, beside = (-size % self.factor for size in tensor.shape[2:])
        whole = F.pad(tensor, (0, beside, 0, below), mode="replicate")
        return F.pixel_unshuffle(whole, self.factor)

    def _gathered(self, tensor: Tensor) -> Tensor:
        gathered = F.pixel_unshuffle(tensor, self.factor)
        return gathered.contiguous(memory_format=torch.channels_last)

    def out_size(self, size: int) -> int:
        return -(-size // self.factor)

    def out_channels(self, channels: int) -> int:
        return channels * self.factor**2

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 4 * rows.want.size * columns.want.size * self.out_channels(channels)
