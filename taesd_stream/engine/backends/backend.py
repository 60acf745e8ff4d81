"""The protocols of backends and of their kernels, as the executor uses them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["Backend", "Kernel"]


class Kernel(Protocol):
    """The layers of a pass, ready to be computed for tiles."""

    def __call__(self, tile: Tensor, rows: Span, columns: Span, state: TileState, /) -> Tensor:
        """The output over the spans' ``want``, from a tile, (n, C, h, w), over their ``have``."""


class Backend(Protocol):
    """Makes kernels for one network.

    Attributes:
        rounding: What tells how it rounds to 8 bits from other ways; "none" where it does not.
        records: Whether it gains by a few tiles that keep a GPU busy, and by room for recordings
            of their kinds.
    """

    rounding: str
    records: bool

    def kernel(self, each: Pass, room_bytes: int = 0) -> Kernel:
        """The kernel of a pass, for tiles of any kind.

        Args:
            each: The pass.
            room_bytes: What recordings may hold, of all kinds together.
        """
