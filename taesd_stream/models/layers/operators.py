"""Operators with their constants: what a layer does for one kind of tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.adjoint import ConvAdjoint, EnlargingAdjoint
from taesd_stream.models.layers.fixed_conv import Convolution, rectified
from taesd_stream.models.layers.pieces import convolved, made_in_pieces, some_rows
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import Interval

__all__ = [
    "Add",
    "Convolve",
    "Enlarge",
    "Nothing",
    "Operator",
    "Rectify",
    "Rest",
    "SetAside",
    "cut",
    "held_around",
    "on_tensor",
]


# The C library takes blocks of 32 MiB and more from the system each time, page by page: 64 channels
# enlarged to 320x512 took 233 ms for 172 ms on a core with AVX2, by way of 42 MB for 21 MB.
_SLOW_BYTES = 16 << 20


class Operator(Protocol):
    """An operator on a tile, (n, C, h, w), which it may change where another one made it."""

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor: ...


def on_tensor(function: Callable[[Tensor], Tensor]) -> Operator:
    """The operator of a function of the tensor alone."""
    return lambda tensor, state: function(tensor)


@dataclass(frozen=True, slots=True)
class Convolve:
    """A convolution, with what it was found to compute besides.

    Attributes:
        convolution: The convolution.
        adjoint: Gives its adjoint, for gradients.
        padding: Zeros above and below, and to the left and the right, that the kernel is told of.
        copied: Zeros to the left, to the right, above and below that the input is copied with;
            None for none.
        wanted: Rows and columns that are wanted of those made; None for all.
        surplus: What is made to the left, to the right, above and below what is wanted.
        adds: Whether it adds what was set aside last.
        slope: Of negative values, for a ReLU after all; None for none.
    """

    convolution: Convolution
    adjoint: Callable[[], ConvAdjoint]
    padding: tuple[int, int]
    copied: tuple[int, int, int, int] | None = None
    wanted: tuple[slice, slice] | None = None
    surplus: tuple[int, int, int, int] = (0, 0, 0, 0)
    adds: bool = False
    slope: float | None = None

    @property
    def takes_more(self) -> bool:
        """Whether a sum or a ReLU after it can be left to it."""
        return self.convolution.fuses and self.slope is None

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        if self.copied is not None:
            tensor = F.pad(tensor, self.copied)
        added = state.aside.pop() if self.adds else None
        made = convolved(
            state, self.convolution, tensor, self.padding, added=added, slope=self.slope
        )
        return made if self.wanted is None else made[:, :, self.wanted[0], self.wanted[1]]


@dataclass(frozen=True, slots=True)
class Enlarge:
    """Four pixels of every 2x2 window, each put in its place.

    Attributes:
        convolution: Makes the channels of four pixels, which lie side by side.
        adjoint: Gives the adjoint of all this, for gradients.
        windows: The rows of windows, by the first row of the input that each reads.
        zeros: To the left and the right of the input.
        rows: Those that are wanted of what all windows make.
        columns: The same.
        slope: Of negative values, for a ReLU after all; None for none.
    """

    convolution: Convolution
    adjoint: Callable[[], EnlargingAdjoint]
    windows: Interval
    zeros: tuple[int, int]
    rows: slice
    columns: slice
    slope: float | None = None

    @property
    def takes_more(self) -> bool:
        """Whether a ReLU after it can be left to it."""
        return self.convolution.fuses and self.slope is None

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        weight = self.convolution.weight
        wide = tensor.shape[3] + sum(self.zeros) - 1
        shape = (tensor.shape[0], weight.shape[0] // 4, *self._wanted(wide))
        squares = weight.shape[0] * self.windows.size * wide * tensor.shape[0]
        made = made_in_pieces(
            state,
            shape,
            tensor,
            weight.numel() // 4,
            partial(self._made, tensor),
            least=squares * tensor.element_size() // _SLOW_BYTES,
        )
        if made is None:
            made = self._made(tensor, Interval(0, shape[2]))
        return made.contiguous(memory_format=torch.channels_last)

    def around(self, read: Sequence[int], made: Sequence[int]) -> tuple[int, int, int, int]:
        """What lies around what is made: in twice what is read, to all four sides of it.

        Args:
            read: Height and width.
            made: Height and width.

        Returns:
            Columns to the left and the right, rows above and below.
        """
        # Window i makes the elements 2 i + 1 and 2 i + 2 of the large picture.
        top = 2 * self.windows.start + 1 + self.rows.start
        left = 1 - 2 * self.zeros[0] + self.columns.start
        return left, 2 * read[1] - made[1] - left, top, 2 * read[0] - made[0] - top

    def _wanted(self, wide: int) -> tuple[int, int]:
        """Rows and columns of all that is wanted."""
        rows = range(2 * self.windows.size)[self.rows]
        return len(rows), len(range(2 * wide)[self.columns])

    def _made(self, tensor: Tensor, rows: Interval) -> Tensor:
        """Some of the rows that are wanted, as a view."""
        of_all = rows.shift(self.rows.start)
        windows = of_all.divide(2)
        first = self.windows.start + windows.start
        # Told of zeros, the kernel would add up in another order where there are any.
        part = some_rows(tensor, Interval(first, first + windows.size + 1), self.zeros)
        large = F.pixel_shuffle(self.convolution(part, (0, 0), None, self.slope), 2)
        return large[:, :, of_all.within(windows.scale(2)), self.columns]


@dataclass(frozen=True, slots=True)
class Rectify:
    """max(x, slope * x), in place."""

    slope: float

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        return rectified(tensor, self.slope)


@dataclass(frozen=True, slots=True)
class SetAside:
    """Keeps what goes around the next layers, to be added to what they make.

    Attributes:
        part: Tells it, as a view of what the next layers read.
        is_whole: Whether it is all that they read.
        surplus: How much larger it shall be than that to the left, to the right, above and below;
            what lies there does not matter. None where a view will do.
    """

    part: Operator
    is_whole: bool = False
    surplus: tuple[int, int, int, int] | None = None

    @classmethod
    def of(cls, rows: Span, columns: Span) -> SetAside:
        """What lies where the spans want."""
        part = next(cut(rows, columns), None)
        if part is None:
            return cls(on_tensor(lambda tensor: tensor), is_whole=True)
        return cls(part)

    def enlarged(self, surplus: tuple[int, int, int, int]) -> SetAside:
        """The same, so much larger and dense: what it is cut out of is not held for its sake."""
        return replace(self, surplus=surplus)

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        part = self.part(tensor, state)
        if self.surplus is not None:
            if any(self.surplus):
                part = F.pad(part, self.surplus)
            elif not (self.is_whole or _is_dense(part)):
                part = part.clone(memory_format=torch.channels_last)
        state.aside.append(part)
        return tensor


class Add:
    """Adds what was set aside last, in place."""

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        return tensor.add_(state.aside.pop())


@dataclass(frozen=True, slots=True)
class Nothing:
    """A part of no columns: all of them were made for tiles to the left.

    Attributes:
        out_channels: Channels that the layer makes of as many.
        rows: How many rows.
    """

    out_channels: Callable[[int], int]
    rows: int

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        steps, channels = tensor.shape[:2]
        return tensor.new_empty((steps, self.out_channels(channels), self.rows, 0))


@dataclass(frozen=True, slots=True)
class Rest:
    """All that comes after a layer that makes more or fewer time steps than it reads.

    Attributes:
        run: What comes after it.
        in_turn: Whether many steps take it in turn, a few at a time.
    """

    run: Callable[[Tensor, TileState], Tensor]
    in_turn: bool

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        if not tensor.shape[0]:  # the layer waits for more steps
            return tensor
        if not self.in_turn or tensor.shape[0] <= state.together:
            return self.run(tensor, state)
        parts, are_last, made = torch.split(tensor, state.together), state.is_last, list[Tensor]()
        for part in parts:
            state.is_last = are_last and part is parts[-1]
            made.append(self.run(part, state))
        state.is_last = are_last
        return torch.cat(made)


def cut(rows: Span, columns: Span, factor: int = 1) -> Iterator[Operator]:
    """The part that spans want of ``factor`` times what they have, as a view, if it is a part."""
    have = rows.have.scale(factor), columns.have.scale(factor)
    if have != (rows.want, columns.want):
        y, x = rows.want.within(have[0]), columns.want.within(have[1])
        yield on_tensor(lambda tensor: tensor[:, :, y, x])


def held_around(rows: Span, columns: Span, channels: int) -> int:
    """The most elements of what is set aside that are held besides what it is a part of."""
    if (rows.want, columns.want) == (rows.have, columns.have):
        return 0
    return rows.have.size * columns.have.size * channels


def _is_dense(part: Tensor) -> bool:
    return part.untyped_storage().nbytes() == part.numel() * part.element_size()
