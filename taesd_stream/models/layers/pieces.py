"""What one operator makes, in pieces of some rows each, by several threads from one queue.

Where all cores share a kernel, each a fixed part of it, the kernel ends when the slowest of them is
done. Of pieces a slow core just makes fewer; and nothing is computed twice, as it is between tiles.
The first are large, since small ones cost more; the last are small where another program holds a
core, so that nobody waits long for whoever is slow.
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
# The smallest is such a part of what a thread makes: while all have cores to themselves, and in a
# crowd. Of a 3x3 convolution from 64 to 64 channels at 160x256, on two cores with AVX2, 4 pieces
# took as long as PyTorch's own halves, 8 3% longer, 16 7% longer.
_SMALLEST = 2
_SMALLEST_IN_A_CROWD = 16


def made_in_pieces(
    state: TileState,
    shape: tuple[int, int, int, int],
    like: Tensor,
    multiplied: int,
    make: Callable[[Interval], Tensor],
    *,
    least: int = 0,
) -> Tensor | None:
    """What an operator makes, put together of pieces; None where it is better made as a whole.

    Args:
        state: Tells who makes pieces, if anybody does; this thread does where there have to be any.
        shape: (n, C, h, w) of all of it.
        like: Tells the dtype.
        multiplied: The multiply-adds for all channels of an element.
        make: Makes some rows, (n, C, rows, w).
        least: So many pieces there have to be, if there are as many rows.
    """
    steps, channels, height, width = shape
    elements = steps * height * width
    smallest = max(_LEAST_ELEMENTS, _LEAST_MULTIPLIED // multiplied)
    pieces = _pieces(state.makers, height, elements // smallest, least)
    if len(pieces) < 2:
        return None
    made = like.new_empty((steps, height, width, channels)).movedim(3, 1)

    def put(rows: Interval) -> None:
        made[:, :, rows.start : rows.stop] = make(rows)

    _make(state.makers, pieces, put)
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
    _make(state.makers, pieces, copy)


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


def _pieces(makers: PieceMakers | None, rows: int, most: int, least: int = 0) -> list[Interval]:
    """Pieces that shrink: in turn every thread is given half its share of the rows that are left.

    Args:
        most: How many there are if they are as small as can be.
        least: How many there have to be, if there are as many rows.
    """
    threads, smallest = 1, rows
    count = 1 if makers is None else makers.count
    if makers is not None and min(rows, most) >= count > 1:
        threads = count
        of_each = _SMALLEST_IN_A_CROWD if makers.in_a_crowd() else _SMALLEST
        smallest = -(-rows // (threads * min(most // threads, of_each)))
    largest = -(-rows // max(1, least))
    pieces, at = list[Interval](), 0
    while at < rows:
        size = min(largest, max(smallest, (rows - at) // (2 * threads)))
        for _ in range(threads):
            pieces.append(Interval(at, min(at + size, rows)))
            at = pieces[-1].stop
    return [piece for piece in pieces if piece.size]


def _make(
    makers: PieceMakers | None, pieces: list[Interval], work: Callable[[Interval], None]
) -> None:
    """Do ``work`` for all pieces, in this thread if there are no others."""
    if makers is not None and len(pieces) > 1:
        makers.make(pieces, work)
    else:
        for rows in pieces:
            work(rows)
