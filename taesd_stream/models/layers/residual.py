"""The block that TAESD is built of."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from taesd_stream.models.layers.carry import Carry, joined
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import Footprint, Interval

__all__ = ["Residual"]


class Residual(Layer):
    """relu(body(x) + x).

    Args:
        body: Convolutions that keep the plane's size and channels.
        pool: A global branch that TAEF2's blocks open with. It belongs to the block by its name in
            the checkpoints only; it needs the whole plane, so it is run by the pass, before this.
    """

    is_made_of_others = True

    def __init__(self, body: Chain, pool: GlobalPool | None = None) -> None:
        super().__init__()
        self.conv = body
        self.pool = pool

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        pieces = self._around(tensor, rows, columns, state.carry)
        out: Tensor = self.conv(tensor, rows, columns, state)
        start = 0
        for piece in pieces:
            stop = start + piece.shape[3]
            out[..., start:stop].add_(piece)
            start = stop
        return out.relu_()

    def _around(
        self, tensor: Tensor, rows: Span, columns: Span, carry: Carry | None
    ) -> tuple[Tensor, ...]:
        """The columns that go around the body, from left to right, as views."""
        new = tensor[:, :, rows.want.within(rows.have)]
        if carry is None:
            return (new[..., columns.want.within(columns.have)],)
        before = carry.take(self) if columns.carried else None
        if before is None:
            before = new[..., :0]
            new = new[..., columns.want.start - columns.given.start :]
        size = columns.want.size
        first = max(0, size - before.shape[3])
        carry.leave(self, joined(before[..., size:], new[..., first:]))
        return tuple(piece for piece in (before[..., :size], new[..., :first]) if piece.shape[3])

    def reads(self, want: Interval, size: int) -> Interval:
        return self.conv.reads(want, size)

    def footprints(self) -> Iterator[Footprint]:
        yield from self.conv.footprints()

    def out_channels(self, channels: int) -> int:
        return self.conv.out_channels(channels)

    def work(self, channels: int) -> Iterator[Work]:
        yield from self.conv.work(channels)

    def extents(self, span: Span) -> Iterator[int]:
        yield from self.conv.extents(span)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return self.conv.peak(rows, columns, channels)

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        return self.conv.surplus(rows, columns, channels)

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        around = columns.given.start - columns.want.start if columns.carried else 0
        inside = self.conv.left(rows, columns, channels)
        return inside + rows.want.size * max(0, around) * channels
