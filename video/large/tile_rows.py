"""Strips of any height in, whole rows of tiles out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from video.large.row_buffer import CHANNELS, RowBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["TileRow", "TileRows", "pad_tile", "tile_row"]


class TileRow:
    """One row of tiles: ``index`` from the top, and ``height`` pixels, fewer in the last one."""

    def __init__(self, index: int, buffer: RowBuffer, *, start: int, height: int) -> None:
        self.index = index
        self.height = height
        self.width = buffer.width
        self._buffer = buffer
        self._start = start

    def read(self, left: int, right: int) -> NDArray[np.uint8]:
        """Columns ``left`` to ``right``: (height, right - left, 3), perhaps a view."""
        stop = self._start + self.height
        return self._buffer.read(self._start, stop, left=left, right=right)

    def blocks(self, tile_width: int, memory_bytes: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The row from left to right, as (left, pixels) of as many whole tiles as fit the bytes.

        At least one tile at a time; the last block ends where the picture does.
        """
        fitting = memory_bytes // (tile_width * self.height * CHANNELS)
        step = tile_width * max(1, fitting)
        for left in range(0, self.width, step):
            yield left, self.read(left, min(left + step, self.width))

    def tiles(self, tile_width: int, memory_bytes: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The tiles from left to right, as (column, pixels), read by blocks."""
        for left, block in self.blocks(tile_width, memory_bytes):
            for offset in range(0, block.shape[1], tile_width):
                yield (left + offset) // tile_width, block[:, offset : offset + tile_width]


def tile_row(buffer: RowBuffer, index: int, *, tile_height: int, height: int) -> TileRow:
    """Row ``index`` of the tiles of a whole picture of ``height`` rows in ``buffer``."""
    start = index * tile_height
    return TileRow(index, buffer, start=start, height=min(tile_height, height - start))


def pad_tile(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A copy of ``tile``, grown to side x side by repeating its last row and column.

    Example:
        >>> pad_tile(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), 3)[..., 0].tolist()
        [[0, 3, 3], [0, 3, 3], [0, 3, 3]]
    """
    height, width = tile.shape[:2]
    whole = np.empty((side, side, CHANNELS), np.uint8)
    whole[:height, :width] = tile
    whole[:height, width:] = tile[:, -1:]
    whole[height:] = whole[height - 1]
    return whole


class TileRows:
    """Gathers the rows of a picture until a row of tiles is complete, then hands that on.

    Args:
        width, height: of the picture, in pixels.
        tile_height: rows of a tile. The last row of tiles has what is left.
        memory_bytes: what the gathered rows may take; where they need more, they go to a file.
        folder: for that file.
        consume: called with each TileRow, which is good until it returns.

    Example:
        >>> from pathlib import Path
        >>> rows = TileRows(
        ...     9, 5, tile_height=4, memory_bytes=1 << 20, folder=Path(),
        ...     consume=lambda row: print(row.index, row.height, [x for x, _ in row.tiles(4, 0)]),
        ... )
        >>> rows.write(np.zeros((5, 9, 3), np.uint8))
        0 4 [0, 1, 2]
        1 1 [0, 1, 2]
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        tile_height: int,
        memory_bytes: int,
        folder: Path,
        consume: Callable[[TileRow], None],
    ) -> None:
        self._height = height
        self._tile_height = min(tile_height, height)
        self._consume = consume
        self._rows = 0
        self._buffer = RowBuffer(self._tile_height, width, memory_bytes=memory_bytes, folder=folder)

    @property
    def in_file(self) -> bool:
        """Whether the rows are gathered in a file."""
        return self._buffer.in_file

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add rows: uint8, (n, width, 3)."""
        while len(rows):
            index, start = divmod(self._rows, self._tile_height)
            taken = rows[: self._tile_height - start]
            self._buffer.write(start, taken)
            self._rows += len(taken)
            stop = start + len(taken)
            if stop == self._tile_height or self._rows == self._height:
                self._consume(TileRow(index, self._buffer, start=0, height=stop))
            rows = rows[len(taken) :]

    def close(self) -> None:
        """Give back what the rows are kept in."""
        self._buffer.close()
