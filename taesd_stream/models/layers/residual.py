"""The block that TAESD is built of."""

from __future__ import annotations

from torch import Tensor

from taesd_stream.models.layers.block import Block
from taesd_stream.models.layers.carry import Carry, joined
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["Residual"]


class Residual(Block[Chain]):
    """relu(body(x) + x).

    Args:
        body: Convolutions that keep the plane's size and channels.
        pool: A global branch that TAEF2's blocks open with. It belongs to the block by its name in
            the checkpoints only; it needs the whole plane, so it is run by the pass, before this.
    """

    is_made_of_others = True

    def __init__(self, body: Chain, pool: GlobalPool | None = None) -> None:
        super().__init__(body)
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

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        return self.conv.surplus(rows, columns, channels)

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        around = columns.given.start - columns.want.start if columns.carried else 0
        inside = self.conv.left(rows, columns, channels)
        return inside + rows.want.size * max(0, around) * channels
