"""Sweeps along bands of tiles, from left to right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taesd_stream.models.layers.carry import Carry
from tiling import Block

__all__ = ["Sweep"]


class Sweep:
    """Goes along a band, each tile going on where the one to its left ended."""

    def __init__(self) -> None:
        self._made: Block | None = None
        self._carry = Carry()

    def goes_on_with(self, block: Block) -> bool:
        """Whether a block lies to the right of the one that was made last."""
        made = self._made
        return (
            made is not None
            and (made.frames, made.region.y) == (block.frames, block.region.y)
            and made.region.x.stop == block.region.x.start
        )

    @contextmanager
    def making(self, block: Block) -> Iterator[Carry]:
        """Inside it, a block is made; if that fails, the next one begins a sweep."""
        if not self.goes_on_with(block):
            self._carry = Carry()
        self._made = None
        yield self._carry
        self._made = block
