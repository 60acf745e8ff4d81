"""Pictures whose tiles, of every level, are stored by several threads while the rows come in."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from video.large.pyramid import Pyramid
from video.large.row_buffer import RowBuffer
from video.large.tile_rows import TileRow, TileRows

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["TiledEncoder"]


class TiledEncoder(ABC):
    """Stores the tiles of a level as soon as a row of them is complete: the common part of formats.

    Args:
        picture: its size, and about what memory this may take; some tiles are held in any case.
        side: of a tile, in pixels.
        least: as for ``level_sizes``.
        folder: for rows that are gathered in a file.
    """

    def __init__(self, picture: RowPicture, *, side: int, least: int, folder: Path) -> None:
        self._side, self._block_bytes = side, picture.memory_bytes // 8
        self._pyramid = Pyramid(picture.width, picture.height, least=least, consume=self._take)
        with ExitStack() as undoing:
            self._levels = []
            for level, (width, height) in enumerate(self._pyramid.sizes):
                share = picture.memory_bytes // 4 >> level
                buffer = RowBuffer(min(side, height), width, memory_bytes=share, folder=folder)
                undoing.enter_context(buffer)
                self._levels.append(TileRows(buffer, height, partial(self._store_row, level)))
            self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="video-large-tile")
            undoing.callback(self._pool.shutdown, cancel_futures=True)
            self._undoing = undoing.pop_all()

    @abstractmethod
    def _store(self, level: int, row: int, column: int, tile: NDArray[np.uint8]) -> None:
        """Store a tile of a level, (h, w, 3), in some thread; it is good until this returns."""

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take the next rows of level 0: uint8, (n, width, 3)."""
        self._pyramid.write(rows)

    def _take(self, level: int, _: int, rows: NDArray[np.uint8]) -> None:
        self._levels[level].write(rows)

    def _store_row(self, level: int, row: TileRow) -> None:
        for tiles in row.blocks(self._side, self._block_bytes):
            columns, pixels = zip(*tiles, strict=True)
            # Waits for all of them, since the next rows take the place of these.
            list(self._pool.map(partial(self._store, level, row.index), columns, pixels))

    def finish(self) -> None:
        """Let the threads go: every tile was stored when its last row came."""
        self._pool.shutdown()

    def stop(self) -> None:
        """Let go of the threads, and of what the rows are kept in."""
        self._undoing.close()
