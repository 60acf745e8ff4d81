"""Pyramids in one file: tiled BigTIFF, the smaller levels as SubIFDs."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from video.background import WriteBehind
from video.large.libraries import load_library
from video.large.pyramid import Pyramid
from video.large.row_buffer import CHANNELS, RowBuffer
from video.large.tile_rows import TileRow, TileRows, pad_tile, tile_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["LEAST_SIDE", "TILE", "TiffEncoder"]

# libvips makes tiles of 128 and most scanners of 256; with 512 the table of a picture's tiles,
# which is built in memory, is a quarter of that: 60 bytes a tile, 0.25 MB a gigapixel.
TILE = 512
TILE_BYTES = TILE * TILE * CHANNELS
LEAST_SIDE = 512
_JPEG_QUALITY = 90


class TiffEncoder:
    """Writes level 0 as it comes; the other levels wait as raw rows, and follow at the end.

    tifffile pulls the tiles in a thread of its own, and compresses them in several.

    Args:
        path: the file to write.
        picture: with compression "deflate" (with horizontal differences), "jpeg" (YCbCr 4:4:4, of
            quality 90 if None) or "none". Some tiles are held whatever its ``memory_bytes``.
    """

    def __init__(self, path: Path, picture: RowPicture) -> None:
        self._tifffile = load_library("tifffile", ".tif")
        self._path = path
        self._raw = picture.compression == "none"
        self._block_bytes = picture.memory_bytes // 16
        tiles = max(1, picture.memory_bytes // 8 // TILE_BYTES)
        self._options = _options(picture, workers=min(tiles, os.cpu_count() or 1))
        self._pyramid = Pyramid(picture.width, picture.height, least=LEAST_SIDE, consume=self._take)
        self._rows: TileRows | None = None
        self._levels: list[RowBuffer] = []
        self._filled = [0] * len(self._pyramid.sizes)
        self._thread: WriteBehind[NDArray[np.uint8] | bytes, None] | None = None
        try:
            self._open(path.parent, picture.memory_bytes, depth=min(tiles, 16))
        except BaseException:
            self.stop()
            raise

    def _open(self, folder: Path, memory_bytes: int, *, depth: int) -> None:
        width, height = self._pyramid.sizes[0]
        self._rows = TileRows(
            width,
            height,
            tile_height=TILE,
            memory_bytes=memory_bytes // 2,
            folder=folder,
            consume=self._put,
        )
        for level, (wide, high) in enumerate(self._pyramid.sizes[1:], start=1):
            share = memory_bytes // 8 >> level
            self._levels.append(RowBuffer(high, wide, memory_bytes=share, folder=folder))
        self._thread = WriteBehind(self._pull, most=depth)

    def add(self, rows: NDArray[np.uint8]) -> None:
        self._pyramid.write(rows)

    def _take(self, level: int, rows: NDArray[np.uint8]) -> None:
        if level == 0 and self._rows is not None:
            self._rows.write(rows)
        else:
            self._levels[level - 1].write(self._filled[level], rows)
        self._filled[level] += len(rows)

    def _put(self, row: TileRow) -> None:
        if self._thread is None:
            return
        for _, tile in row.tiles(TILE, self._block_bytes):
            whole = pad_tile(tile, TILE)
            self._thread.put(whole.tobytes() if self._raw else whole)

    def finish(self) -> None:
        for buffer, (_, height) in zip(self._levels, self._pyramid.sizes[1:], strict=True):
            for index in range(-(-height // TILE)):
                self._put(tile_row(buffer, index, tile_height=TILE, height=height))
            buffer.close()
        if self._thread is not None:
            self._thread.finish()

    def stop(self) -> None:
        if self._thread is not None:
            self._thread.stop()
        if self._rows is not None:
            self._rows.close()
        for buffer in self._levels:
            buffer.close()

    def _pull(self, tiles: Iterator[NDArray[np.uint8] | bytes]) -> None:
        with self._tifffile.TiffWriter(self._path, bigtiff=True) as file:
            for level, (width, height) in enumerate(self._pyramid.sizes):
                count = -(-width // TILE) * -(-height // TILE)
                file.write(
                    # tifffile closes what it is given: the levels after this need theirs.
                    islice(tiles, count),
                    shape=(height, width, CHANNELS),
                    subifds=len(self._levels) if level == 0 else None,
                    subfiletype=1 if level else None,
                    **self._options,
                )


def _options(picture: RowPicture, *, workers: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "dtype": np.uint8,
        "tile": (TILE, TILE),
        "photometric": "rgb",
        "metadata": None,
        "maxworkers": workers,
        # How many bytes of tiles are compressed at a time.
        "buffersize": workers * TILE_BYTES,
    }
    if picture.compression == "deflate":
        options |= {"compression": "zlib", "predictor": True}
    elif picture.compression == "jpeg":
        options |= {
            "compression": "jpeg",
            "compressionargs": {"level": picture.quality or _JPEG_QUALITY},
            "subsampling": (1, 1),
        }
    return options
