"""Layers that look back in time: the ones that TAESDV, TAEM1 and TAEHV add to TAESD's.

Sources: github.com/madebyollin/taesdv, taem1, taehv.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from taesd_stream.models.layers.block import Block
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.layer import Work
from taesd_stream.models.layers.operators import (
    Add,
    Operator,
    Rectify,
    SetAside,
    held_around,
)
from taesd_stream.models.layers.pieces import copied_in_pieces
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import Footprint

__all__ = ["MemBlock", "TimeGrow", "TimePool"]


class MemBlock(Block[Chain]):
    """body(x and the step before it) + x, and, if ``rectified``, max(that, slope * that).

    Before the first step it reads zeros.

    Args:
        body: Layers that keep the plane's size and halve the channels.
        rectified: Whether a ReLU ends the block.
        slope: Of negative values, for that ReLU.
    """

    time = Footprint(kernel=2, padding=1)
    kept_steps = 1

    def __init__(self, body: Chain, *, rectified: bool = True, slope: float = 0) -> None:
        super().__init__(body)
        self.rectified = rectified
        self.slope = slope

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield SetAside.of(rows, columns)
        yield self._with_the_step_before
        yield from self.conv.operators(rows, columns, sweeps=sweeps)
        yield Add()
        if self.rectified:
            yield Rectify(self.slope)

    def plain(self, tensor: Tensor) -> Tensor:
        before = torch.cat([torch.zeros_like(tensor[:1]), tensor[:-1]])
        made = self.conv.plain(torch.cat([tensor, before], dim=1)) + tensor
        return ReLU(self.slope).plain(made) if self.rectified else made

    def _with_the_step_before(self, tensor: Tensor, state: TileState, /) -> Tensor:
        before = state.recall(self)
        state.keep(self, _owned(tensor[-1:]))
        if torch.is_grad_enabled():  # autograd goes back through copies into parts in many more
            past = torch.zeros_like(tensor[:1]) if before is None else before
            return torch.cat([tensor, torch.cat([past, tensor[:-1]])], dim=1)
        steps, channels, height, width = tensor.shape
        both = tensor.new_empty((steps, height, width, 2 * channels)).movedim(3, 1)
        copied_in_pieces(
            state,
            (both[:, :channels], tensor),
            (both[1:, channels:], tensor[:-1]),
            (both[:1, channels:], 0 if before is None else before),
        )
        return both

    def work(self, channels: int) -> Iterator[Work]:
        return self.conv.work(2 * channels)

    def signs(self, rows: Span, columns: Span, channels: int) -> int:
        own = rows.want.size * columns.want.size * channels if self.rectified else 0
        return self.conv.signs(rows, columns, 2 * channels) + own

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        held = rows.have.size * columns.have.size * channels
        first = self.conv.first_peak(rows, columns, 2 * channels)
        first += held_around(rows, columns, channels)
        return held + max(first, self.conv.peak(rows, columns, 2 * channels))


class TimePool(Block[Conv]):
    """Makes one step of every ``stride``, with a 1x1 convolution over all their channels.

    Args:
        channels: Of a step, before and after.
        stride: Steps that become one.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(Conv(channels * stride, channels, kernel=1, bias=False))
        self.time = Footprint(kernel=stride, stride=stride)
        self.kept_steps = stride - 1

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield self._gathered
        yield from self.conv.operators(rows, columns)

    def plain(self, tensor: Tensor) -> Tensor:
        steps, _, height, width = tensor.shape
        return self.conv.plain(tensor.reshape(steps // self.time.stride, -1, height, width))

    def _gathered(self, tensor: Tensor, state: TileState, /) -> Tensor:
        """The channels of ``stride`` steps side by side; those that are too few wait."""
        stride = self.time.stride
        before = state.recall(self)
        steps = tensor if before is None else torch.cat([before, tensor])
        pooled = steps.shape[0] // stride * stride
        if pooled < steps.shape[0]:
            state.keep(self, _owned(steps[pooled:]))
        else:
            state.forget(self)
        _, channels, height, width = steps.shape
        grouped = steps[:pooled].reshape(pooled // stride, stride * channels, height, width)
        return grouped.contiguous(memory_format=torch.channels_last) if pooled else grouped

    def work(self, channels: int) -> Iterator[Work]:
        # Per input step, and it runs for one in ``stride``.
        runs = Fraction(1, self.time.stride)
        for part in self.conv.work(channels):
            yield Work(part.multiplied * runs, part.written * runs)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        copies = 2 * self.time.stride + 1 if self.kept_steps else 1
        return rows.want.size * columns.want.size * channels * (copies + 1)


class TimeGrow(Block[Conv]):
    """Makes ``steps`` of every step, with a 1x1 convolution.

    Args:
        channels: Of a step, before and after.
        steps: Steps that one becomes.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__(Conv(channels, channels * steps, kernel=1, bias=False))
        self.time = Footprint(upscale=steps)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield from self.conv.operators(rows, columns)
        if self.time.upscale > 1:
            yield self._apart

    def plain(self, tensor: Tensor) -> Tensor:
        steps, channels, height, width = tensor.shape
        return self.conv.plain(tensor).reshape(steps * self.time.upscale, channels, height, width)

    def _apart(self, grown: Tensor, state: TileState, /) -> Tensor:
        """The steps that lie in the channels of one, one after the other."""
        up = self.time.upscale
        steps, channels = grown.shape[0] * up, grown.shape[1] // up
        height, width = grown.shape[2:]
        if torch.is_grad_enabled():
            return grown.reshape(steps, channels, height, width)
        apart = grown.new_empty((steps, height, width, channels)).movedim(3, 1)
        copied_in_pieces(state, (apart, grown.reshape(steps, channels, height, width)))
        return apart

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        area = rows.want.size * columns.want.size
        copies = 3 if self.time.upscale > 1 else 1
        return area * channels * (1 + copies * self.time.upscale)


def _owned(part: Tensor) -> Tensor:
    """The same steps, without keeping alive those that they were computed together with."""
    is_whole = part.untyped_storage().nbytes() == part.numel() * part.element_size()
    return part if is_whole else part.clone()
