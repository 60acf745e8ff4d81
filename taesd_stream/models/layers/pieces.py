"""What one operator makes, in pieces of some rows each, by several threads from one queue.

Where all cores share a kernel, each a fixed part of it, the kernel ends when the slowest of them is
done. Of pieces a slow core just makes fewer; and nothing is computed twice, as it is between tiles.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from taesd_stream.models.layers.fixed_conv import Convolution
from taesd_stream.models.layers.tile_state import PieceMakers, TileState
from tiling import Interval

__all__ = ["convolved", "copied_in_pieces", "made_in_pieces", "some_rows"]

# A piece takes some tenths of a millisecond at least, since to hand it over takes some hundredths;
# and it is so many elements of every channel, since weights are brought into order for it.
_LEAST_MULTIPLIED = 8_000_000
_LEAST_ELEMENTS = 256
_LEAST_COPIED = 500_000
# Where there are more pieces than threads they are larger. On one core with AVX2 pieces of 1,024
# elements took 1.04 times as long as the whole, of 576 1.14 times.
_LARGER = 4
# So many for each thread, so that a slow one can make some fewer.
_MOST_PER_THREAD = 8


def made_in_pieces(
    state: TileState,
    shape: tuple[int, int, int, int],
    like: Tensor,
    multiplied: int,
    make: Callable[[Interval], Tensor],
) -> Tensor | None:
    """What an operator makes, put together of pieces; None where it is better made as a whole.

    Args:
        state: Tells who makes pieces, if anybody does.
        shape: (n, C, h, w) of all of it.
        like: Tells the dtype.
        multiplied: The multiply-adds for all channels of an element.
        make: Makes some rows, (n, C, rows, w).
    """
    steps, channels, height, width = shape
    elements = steps * height * width
    least = max(_LEAST_ELEMENTS, _LEAST_MULTIPLIED // multiplied)
    pieces = _pieces(state.makers, height, elements // least)
    if state.makers is None or not pieces:
        return None
    made = like.new_empty((steps, height, width, channels)).movedim(3, 1)

    def put(rows: Interval) -> None:
        made[:, :, rows.start : rows.stop] = make(rows)

    state.makers.make(pieces, put)
    return made


def copied_in_pieces(state: TileState, *copies: tuple[Tensor, Tensor | int]) -> None:
    """Copy to tensors, (n, C, h, w), others of their shapes, or fill them with a number.

    Args:
        state: Tells who makes pieces, if anybody does.
        copies: Where to, and what.
    """

    def copy(rows: Interval) -> None:
        here = slice(rows.start, rows.stop)
        for to, what in copies:
            to[:, :, here] = what[:, :, here] if isinstance(what, Tensor) else what

    rows = copies[0][0].shape[2]
    elements = sum(to.numel() for to, _ in copies)
    pieces = _pieces(state.makers, rows, elements // _LEAST_COPIED)
    if state.makers is None or not pieces:
        copy(Interval(0, rows))
    else:
        state.makers.make(pieces, copy)


def convolved(
    state: TileState,
    convolution: Convolution,
    tensor: Tensor,
    padding: tuple[int, int],
    *,
    added: Tensor | None = None,
    slope: float | None = None,
) -> Tensor:
    """A convolution, as a whole or in pieces.

    Args:
        state: Tells who makes pieces, if anybody does.
        convolution: What is called, with all that follows here.
    """
    if state.makers is None:
        return convolution(tensor, padding, added, slope)
    kernel, stride, (high, wide) = convolution.weight.shape[-1], convolution.stride, padding
    steps, _, height, width = tensor.shape
    made_high = (height + 2 * high - kernel) // stride + 1
    made_wide = (width + 2 * wide - kernel) // stride + 1
    shape = (steps, convolution.weight.shape[0], made_high, made_wide)

    def make(rows: Interval) -> Tensor:
        read = Interval(rows.start * stride - high, (rows.stop - 1) * stride - high + kernel)
        part = some_rows(tensor, read)
        beside = None if added is None else added[:, :, rows.start : rows.stop]
        return convolution(part, (0, wide), beside, slope)

    made = made_in_pieces(state, shape, tensor, convolution.weight.numel(), make)
    return convolution(tensor, padding, added, slope) if made is None else made


def some_rows(tensor: Tensor, rows: Interval, beside: tuple[int, int] = (0, 0)) -> Tensor:
    """Rows of a tensor, (n, C, h, w), and zeros where they reach past it, or to either side."""
    there = rows.clip(0, tensor.shape[2])
    part = tensor[:, :, there.start : there.stop]
    zeros = (*beside, there.start - rows.start, rows.stop - there.stop)
    return torch.constant_pad_nd(part, zeros) if any(zeros) else part


def _pieces(makers: PieceMakers | None, rows: int, least_pieces: int) -> list[Interval]:
    """Pieces of equal height, as many for each thread; none where all would be one piece.

    Args:
        least_pieces: How many there are if they are as small as can be.
    """
    if makers is None:
        return []
    threads = makers.count
    each = min(_MOST_PER_THREAD, rows // threads, least_pieces // (_LARGER * threads))
    count = threads * max(each, min(1, rows // threads, least_pieces // threads))
    return [Interval(rows * i // count, rows * (i + 1) // count) for i in range(count)]
