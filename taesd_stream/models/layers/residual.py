"""Layers that a sum goes around: the block that TAESD is built of, and its kin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.block import Block
from taesd_stream.models.layers.carry import joined
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_layer import Part
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.layer import Work
from taesd_stream.models.layers.operators import Add, Operator, Rectify, SetAside, held_around
from taesd_stream.models.layers.pieces import convolved
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["Residual", "Sum"]


class Sum(Block[Chain]):
    """body(x) + through(x).

    Args:
        body: Convolutions that keep the plane's size.
        through: A 1x1 convolution that x goes through to the sum; None for none.
    """

    is_made_of_others = True

    def __init__(self, body: Chain, through: Conv | None = None) -> None:
        super().__init__(body)
        self.through = through

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield self._around(rows, columns, sweeps)
        if self.through is not None:
            yield _Through(self.through)
        yield from self.conv.operators(rows, columns, sweeps=sweeps)
        yield Add()

    def plain(self, tensor: Tensor) -> Tensor:
        around = tensor if self.through is None else self.through.plain(tensor)
        return self.conv.plain(tensor) + around

    def out_channels(self, channels: int) -> int:
        return self.conv.out_channels(channels)

    def work(self, channels: int) -> Iterator[Work]:
        yield from self.conv.work(channels)
        if self.through is not None:
            yield from self.through.work(channels)

    def extents(self, span: Span) -> Iterator[int]:
        yield from self.conv.extents(span)
        if self.through is not None:
            yield span.want.size

    def _around(self, rows: Span, columns: Span, sweeps: bool) -> SetAside:
        if not sweeps:
            return SetAside.of(rows, columns)
        first = columns.want.start - columns.given.start
        around = _SweptAround(
            self, rows.want.within(rows.have), columns.carried > 0, first, columns.want.size
        )
        return SetAside(around)

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        return self.conv.surplus(rows, columns, channels)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        around = held_around(rows, columns, channels)
        return max(
            self.conv.peak(rows, columns, channels),
            self.conv.first_peak(rows, columns, channels) + around,
        ) + self._gone_through(rows, columns, channels)

    def _gone_through(self, rows: Span, columns: Span, channels: int) -> int:
        if self.through is None:
            return 0
        return rows.want.size * columns.want.size * self.through.out_channels(channels)

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        around = columns.given.start - columns.want.start if columns.carried else 0
        inside = self.conv.left(rows, columns, channels)
        return inside + rows.want.size * max(0, around) * channels


class Residual(Sum):
    """relu(body(x) + x).

    Args:
        body: Convolutions that keep the plane's size and channels.
        pool: A global branch that TAEF2's blocks open with. It belongs to the block by its name in
            the checkpoints only; it needs the whole plane, so it is run by the pass, before this.
    """

    def __init__(self, body: Chain, pool: GlobalPool | None = None) -> None:
        super().__init__(body)
        self.pool = pool

    def parts(self) -> Iterator[Part]:
        """What a network is cut into passes at, and the rest."""
        if self.pool is not None:
            yield self.pool
        yield self

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield from super().operators(rows, columns, sweeps=sweeps)
        yield Rectify(0)

    def plain(self, tensor: Tensor) -> Tensor:
        if self.pool is not None:
            tensor = self.pool.plain(tensor)
        return F.relu(super().plain(tensor))

    def signs(self, rows: Span, columns: Span, channels: int) -> int:
        inside = self.conv.signs(rows, columns, channels)
        return inside + rows.want.size * columns.want.size * channels


@dataclass(frozen=True, slots=True)
class _Through:
    """Sends what was set aside last through a convolution.

    Attributes:
        conv: 1x1.
    """

    conv: Conv

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        state.aside.append(convolved(state, self.conv.convolution, state.aside.pop(), (0, 0)))
        return tensor


@dataclass(frozen=True, slots=True)
class _SweptAround:
    """The columns that go around a body whose tiles go on from each other.

    Attributes:
        block: Whose they are.
        rows: Rows of what is new that are wanted.
        goes_on: Whether some may have been left.
        first: The first column of what is new that is wanted, where none was left.
        size: How many columns are wanted; those after them are left for the next tile.
    """

    block: Sum
    rows: slice
    goes_on: bool
    first: int
    size: int

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        new = tensor[:, :, self.rows]
        before = state.take(self.block) if self.goes_on else None
        whole = joined(before, new if before is not None else new[..., self.first :])
        state.leave(self.block, whole[..., self.size :])
        return whole[..., : self.size]
