"""Strips of any height in, whole rows of tiles out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from video.large.row_buffer import RowBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TileRow", "TileRows"]


@dataclass(frozen=True)
class TileRow:
    """One row of tiles in a buffer.

    Attributes:
        index: its number, from the top.
        height: of its tiles, in pixels; that of the last row may be smaller.
    """

    index: int
    height: int
    _buffer: RowBuffer
    _start: int

    @classmethod
    def all_of(cls, buffer: RowBuffer, tile_height: int) -> Iterator[Self]:
        """The rows of tiles of a whole picture, for which the buffer has just the room."""
        for index, start in enumerate(range(0, buffer.capacity, tile_height)):
            yield cls(index, min(tile_height, buffer.capacity - start), buffer, start)

    def blocks(
        self, tile_width: int, memory_bytes: int
    ) -> Iterator[list[tuple[int, NDArray[np.uint8]]]]:
        """The tiles from left to right, as many together as fit the bytes, but at least one.

        Each is its column, and its pixels (height, width, channels), perhaps a view. The last ends
        where the picture does.
        """
        width, stop = self._buffer.width, self._start + self.height
        fitting = memory_bytes // (tile_width * self.height * self._buffer.channels)
        step = tile_width * max(1, fitting)
        for left in range(0, width, step):
            right = min(left + step, width)
            block = self._buffer.read(self._start, stop, left=left, right=right)
            yield [
                ((left + offset) // tile_width, block[:, offset : offset + tile_width])
                for offset in range(0, right - left, tile_width)
            ]


class TileRows:
    """Gathers the rows of a picture until a row of tiles is complete, then hands that on.

    Args:
        buffer: as wide as the picture, with room for a row of tiles: as high as they are.
        height: of the picture, in pixels. The last row of tiles has what is left.
        consume: called with each TileRow, which is good until it returns.

    Example:
        >>> import numpy as np
        >>> def show(row: TileRow) -> None:
        ...     print(row.index, row.height, len(list(row.blocks(4, 0))))
        >>> rows = TileRows(RowBuffer(4, 9, memory_bytes=1 << 20, folder=None), 5, show)
        >>> rows.write(np.zeros((5, 9, 3), np.uint8))
        0 4 3
        1 1 3
    """

    def __init__(self, buffer: RowBuffer, height: int, consume: Callable[[TileRow], None]) -> None:
        self._buffer, self._height, self._consume = buffer, height, consume
        self._rows = 0

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add rows: uint8, (n, width, channels)."""
        tile_height = self._buffer.capacity
        while len(rows):
            index, start = divmod(self._rows, tile_height)
            taken = rows[: tile_height - start]
            self._buffer.write(start, taken)
            self._rows += len(taken)
            stop = start + len(taken)
            if stop == tile_height or self._rows == self._height:
                self._consume(TileRow(index, stop, self._buffer, 0))
            rows = rows[len(taken) :]
