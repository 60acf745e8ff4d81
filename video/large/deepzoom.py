"""Deep Zoom: a small XML file and a folder of tiles, for OpenSeadragon on any web server."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import cv2
import numpy as np

from video.errors import OutputError
from video.large.folders import tile_folder
from video.large.pyramid import Pyramid
from video.large.tile_rows import TileRow, TileRows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["NAMESPACE", "TILE", "DeepZoomEncoder"]

NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"
# Tiles that do not overlap can be joined by whoever reads them. Overlap hides seams of viewers that
# scale each tile alone; OpenSeadragon shows tiles without it (all of IIIF is such) just as well.
TILE = 256
_OVERLAP = 0
_JPEG_QUALITY = 90


class DeepZoomEncoder:
    """Writes the tiles of every level as soon as a row of them is complete, and the XML last.

    Level 0 is 1x1 pixel, and the last is the picture; each is half the next, rounded up.

    Args:
        path: the XML file; the tiles go to the folder ``tile_folder(path)``, made if missing.
        picture: with compression "jpeg" (4:4:4, of quality 90 if None) or "png". Some tiles are
            held whatever its ``memory_bytes``.
    """

    def __init__(self, path: Path, picture: RowPicture) -> None:
        self._path = path
        self._suffix = ".jpg" if picture.compression == "jpeg" else ".png"
        self._parameters: list[int] = []
        if picture.compression == "jpeg":
            self._parameters = [cv2.IMWRITE_JPEG_QUALITY, picture.quality or _JPEG_QUALITY]
            self._parameters += [
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
            ]
        self._block_bytes = picture.memory_bytes // 8
        self._pyramid = Pyramid(picture.width, picture.height, least=1, consume=self._take)
        self._levels: list[TileRows] = []
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="video-large-tile")
        try:
            self._open(picture.memory_bytes)
        except BaseException:
            self.stop()
            raise

    def _open(self, memory_bytes: int) -> None:
        sizes = self._pyramid.sizes
        for level, (wide, high) in enumerate(sizes):
            folder = tile_folder(self._path) / str(len(sizes) - 1 - level)
            folder.mkdir(parents=True)
            rows = TileRows(
                wide,
                high,
                tile_height=TILE,
                memory_bytes=memory_bytes // 4 >> level,
                folder=self._path.parent,
                consume=partial(self._store, folder),
            )
            self._levels.append(rows)

    def add(self, rows: NDArray[np.uint8]) -> None:
        self._pyramid.write(rows)

    def _take(self, level: int, rows: NDArray[np.uint8]) -> None:
        self._levels[level].write(rows)

    def _store(self, folder: Path, row: TileRow) -> None:
        for left, block in row.blocks(TILE, self._block_bytes):
            tiles = [
                (folder / f"{(left + offset) // TILE}_{row.index}{self._suffix}", offset)
                for offset in range(0, block.shape[1], TILE)
            ]
            # Waits for all of them, since the next rows take the place of these.
            list(self._pool.map(partial(self._write_tile, block), tiles))

    def _write_tile(self, block: NDArray[np.uint8], tile: tuple[Path, int]) -> None:
        path, offset = tile
        pixels = cv2.cvtColor(block[:, offset : offset + TILE], cv2.COLOR_RGB2BGR)
        encoded, data = cv2.imencode(self._suffix, pixels, self._parameters)
        if not encoded:
            raise OutputError(f"cannot encode '{path}' as {self._suffix}")
        path.write_bytes(data.tobytes())

    def finish(self) -> None:
        width, height = self._pyramid.sizes[0]
        image = ElementTree.Element(
            "Image",
            xmlns=NAMESPACE,
            Format=self._suffix[1:],
            Overlap=str(_OVERLAP),
            TileSize=str(TILE),
        )
        ElementTree.SubElement(image, "Size", Width=str(width), Height=str(height))
        self._path.write_bytes(
            ElementTree.tostring(image, encoding="utf-8", xml_declaration=True) + b"\n"
        )

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for rows in self._levels:
            rows.close()
