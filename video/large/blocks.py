"""Regions of a picture that is stored in blocks, each of which is decoded as a whole."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from video.large.row_buffer import CHANNELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Blocks", "Decode"]

Decode: TypeAlias = "Callable[[int, int], NDArray[np.uint8] | None]"
"""The block in a row and a column of blocks, (h, w, channels), cut at the picture's borders or not;
None where it was never written: it is black, or transparent where there is alpha."""


class Blocks:
    """A picture in blocks of one size; the last of a row or a column may be cut.

    The blocks that were used last are kept, because regions that follow each other lie in the same
    ones.

    Args:
        size: height and width of the picture, in pixels.
        block_size: those of a block.
        decode: makes a block.
        cache_bytes: what may be kept; the block at hand always is.
        channels: of a block: 3, or 4 with alpha.

    Example:
        >>> made = lambda row, column: np.full((4, 4, 3), row, np.uint8)
        >>> blocks = Blocks((5, 7), (4, 4), made, cache_bytes=0)
        >>> blocks.read(slice(3, 5), slice(0, 7))[:, 0, 0].tolist()
        [0, 1]
    """

    def __init__(
        self,
        size: tuple[int, int],
        block_size: tuple[int, int],
        decode: Decode,
        *,
        cache_bytes: int,
        channels: int = CHANNELS,
    ) -> None:
        self.size, self._channels = size, channels
        self._block_size, self._decode = block_size, decode
        self._most_kept = max(1, cache_bytes // (math.prod(block_size) * channels))
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8] | None] = OrderedDict()

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The pixels of some rows and columns within the picture, (h, w, channels)."""
        shape = (rows.stop - rows.start, columns.stop - columns.start, self._channels)
        out = np.zeros(shape, np.uint8)
        high, wide = self._block_size
        for row in _touched(rows, high):
            for column in _touched(columns, wide):
                block = self._block(row, column)
                if block is None:
                    continue
                from_y, to_y = _shared(rows, row * high, high)
                from_x, to_x = _shared(columns, column * wide, wide)
                out[to_y, to_x] = block[from_y, from_x]
        return out

    def _block(self, row: int, column: int) -> NDArray[np.uint8] | None:
        if (row, column) in self._kept:
            self._kept.move_to_end((row, column))
            return self._kept[row, column]
        while len(self._kept) >= self._most_kept:
            self._kept.popitem(last=False)
        self._kept[row, column] = self._decode(row, column)
        return self._kept[row, column]


def _touched(part: slice, size: int) -> range:
    return range(part.start // size, -(-part.stop // size))


def _shared(part: slice, start: int, size: int) -> tuple[slice, slice]:
    """The overlap of ``part`` and the block at ``start``, counted in the block and in the part."""
    first, last = max(part.start, start), min(part.stop, start + size)
    return slice(first - start, last - start), slice(first - part.start, last - part.start)
