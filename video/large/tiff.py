"""Pyramids in one file: tiled BigTIFF, the smaller levels as SubIFDs."""

from __future__ import annotations

import os
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from video.background import WriteBehind
from video.large.libraries import load_library
from video.large.pyramid import Pyramid
from video.large.row_buffer import RowBuffer
from video.large.tile_rows import TileRow, TileRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["LEAST_SIDE", "TILE", "TiffEncoder"]

# libvips makes tiles of 128 and most scanners of 256; with 512 the table of a picture's tiles,
# which is built in memory, is a quarter of that: 60 bytes a tile, 0.25 MB a gigapixel.
TILE = 512
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
        self._channels = picture.channels
        tiles = max(1, picture.memory_bytes // 8 // (TILE * TILE * picture.channels))
        self._options = _options(picture, workers=min(tiles, os.cpu_count() or 1))
        self._pyramid = Pyramid(picture.width, picture.height, least=LEAST_SIDE, consume=self._take)
        with ExitStack() as undoing:
            buffers = []
            for level, (width, height) in enumerate(self._pyramid.sizes):
                # Of level 0, one row of tiles at a time; the others wait for the end as a whole.
                rows = height if level else min(TILE, height)
                share = (picture.memory_bytes // 8 >> level) if level else picture.memory_bytes // 2
                buffer = RowBuffer(
                    rows,
                    width,
                    memory_bytes=share,
                    folder=path.parent,
                    channels=picture.channels,
                )
                buffers.append(undoing.enter_context(buffer))
            self._rows = TileRows(buffers[0], picture.height, self._put)
            self._levels = buffers[1:]
            self._thread: WriteBehind[NDArray[np.uint8] | bytes, None]
            self._thread = WriteBehind(self._pull, most=min(tiles, 16))
            undoing.callback(self._thread.stop)
            self._undoing = undoing.pop_all()

    def add(self, rows: NDArray[np.uint8]) -> None:
        self._pyramid.write(rows)

    def _take(self, level: int, start: int, rows: NDArray[np.uint8]) -> None:
        if level == 0:
            self._rows.write(rows)
        else:
            self._levels[level - 1].write(start, rows)

    def _put(self, row: TileRow) -> None:
        for tiles in row.blocks(TILE, self._block_bytes):
            for _, tile in tiles:
                whole = _padded(tile)
                self._thread.put(whole.tobytes() if self._raw else whole)

    def finish(self) -> None:
        for buffer in self._levels:
            for row in TileRow.all_of(buffer, TILE):
                self._put(row)
            buffer.close()
        self._thread.finish()

    def stop(self) -> None:
        self._undoing.close()

    def _pull(self, tiles: Iterator[NDArray[np.uint8] | bytes]) -> None:
        with self._tifffile.TiffWriter(self._path, bigtiff=True) as file:
            for level, (width, height) in enumerate(self._pyramid.sizes):
                count = -(-width // TILE) * -(-height // TILE)
                file.write(
                    # tifffile closes what it is given: the levels after this need theirs.
                    islice(tiles, count),
                    shape=(height, width, self._channels),
                    subifds=len(self._levels) if level == 0 else None,
                    subfiletype=1 if level else None,
                    **self._options,
                )


def _padded(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of a tile, grown to its full size by repeating its last row and column."""
    # numpy.pad makes copies of parts in between.
    height, width, channels = tile.shape
    whole = np.empty((TILE, TILE, channels), np.uint8)
    whole[:height, :width] = tile
    whole[:height, width:] = tile[:, -1:]
    whole[height:] = whole[height - 1]
    return whole


def _options(picture: RowPicture, *, workers: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "dtype": np.uint8,
        "tile": (TILE, TILE),
        "photometric": "rgb",
        "metadata": None,
        "maxworkers": workers,
        # How many bytes of tiles are compressed at a time.
        "buffersize": workers * TILE * TILE * picture.channels,
    }
    if picture.alpha:
        options["extrasamples"] = ["unassalpha"]
    if picture.compression == "deflate":
        options |= {"compression": "zlib", "predictor": True}
    elif picture.compression == "jpeg":
        options |= {
            "compression": "jpeg",
            "compressionargs": {"level": picture.quality or _JPEG_QUALITY},
            "subsampling": (1, 1),
        }
    return options
