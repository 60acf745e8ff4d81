"""Tiles of every level of a picture, stored by several threads while its rows come in."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from video.large.pyramid import Pyramid
from video.large.tile_rows import TileRow, TileRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["TileLevels"]


class TileLevels:
    """Stores the tiles of a level as soon as a row of them is complete.

    Args:
        picture: its size, and about what memory this may take; some tiles are held in any case.
        side: of a tile, in pixels.
        least: as for ``level_sizes``.
        folder: for rows that are gathered in a file.
        store: called in some thread with the number of a level, a tile's row and column there, and
            its pixels, (h, w, 3), which are good until it returns.
    """

    def __init__(
        self,
        picture: RowPicture,
        *,
        side: int,
        least: int,
        folder: Path,
        store: Callable[[int, int, int, NDArray[np.uint8]], None],
    ) -> None:
        self._side, self._put = side, store
        self._block_bytes = picture.memory_bytes // 8
        self._pyramid = Pyramid(picture.width, picture.height, least=least, consume=self._take)
        self._levels: list[TileRows] = []
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="video-large-tile")
        try:
            for level, (width, height) in enumerate(self._pyramid.sizes):
                rows = TileRows(
                    width,
                    height,
                    tile_height=side,
                    memory_bytes=picture.memory_bytes // 4 >> level,
                    folder=folder,
                    consume=partial(self._store, level),
                )
                self._levels.append(rows)
        except BaseException:
            self.stop()
            raise

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take the next rows of level 0: uint8, (n, width, 3)."""
        self._pyramid.write(rows)

    def _take(self, level: int, rows: NDArray[np.uint8]) -> None:
        self._levels[level].write(rows)

    def _store(self, level: int, row: TileRow) -> None:
        side = self._side
        for left, block in row.blocks(side, self._block_bytes):
            offsets = range(0, block.shape[1], side)
            columns = [(left + offset) // side for offset in offsets]
            tiles = [block[:, offset : offset + side] for offset in offsets]
            # Waits for all of them, since the next rows take the place of these.
            list(self._pool.map(partial(self._put, level, row.index), columns, tiles))

    def stop(self) -> None:
        """Let go of the threads, and of what the rows are kept in."""
        self._pool.shutdown(cancel_futures=True)
        for rows in self._levels:
            rows.close()
