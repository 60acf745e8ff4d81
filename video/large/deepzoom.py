"""Deep Zoom: a small XML file and a folder of tiles, for OpenSeadragon on any web server."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import cv2

from video.errors import OutputError
from video.images import jpeg_parameters
from video.large.folders import tile_folder
from video.large.pyramid import level_sizes
from video.large.tiled_encoder import TiledEncoder

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["LEAST_SIDE", "NAMESPACE", "TILE", "DeepZoomEncoder"]

NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"
# Tiles that do not overlap can be joined by whoever reads them. Overlap hides seams of viewers that
# scale each tile alone; OpenSeadragon shows tiles without it (all of IIIF is such) just as well.
TILE = 256
LEAST_SIDE = 1
_OVERLAP = 0
_JPEG_QUALITY = 90


class DeepZoomEncoder(TiledEncoder):
    """Writes the tiles of every level as soon as a row of them is complete, and the XML last.

    Level 0 is 1x1 pixel, and the last is the picture; each is half the next, rounded up.

    Args:
        path: the XML file; the tiles go to the folder ``tile_folder(path)``, made if missing.
        picture: with compression "jpeg" (4:4:4, of quality 90 if None) or "png". Some tiles are
            held whatever its ``memory_bytes``.
    """

    def __init__(self, path: Path, picture: RowPicture) -> None:
        self._path, self._picture = path, picture
        is_jpeg = picture.compression == "jpeg"
        self._suffix = ".jpg" if is_jpeg else ".png"
        self._parameters = jpeg_parameters(picture.quality or _JPEG_QUALITY) if is_jpeg else []
        levels = len(level_sizes(picture.width, picture.height, least=LEAST_SIDE))
        self._folders = [tile_folder(path) / str(number) for number in reversed(range(levels))]
        for folder in self._folders:
            folder.mkdir(parents=True)
        super().__init__(picture, side=TILE, least=LEAST_SIDE, folder=path.parent)

    def _store(self, level: int, row: int, column: int, tile: NDArray[np.uint8]) -> None:
        path = self._folders[level] / f"{column}_{row}{self._suffix}"
        pixels = cv2.cvtColor(tile, cv2.COLOR_RGB2BGR)
        encoded, data = cv2.imencode(self._suffix, pixels, self._parameters)
        if not encoded:
            raise OutputError(f"cannot encode '{path}' as {self._suffix}")
        path.write_bytes(data.tobytes())

    def finish(self) -> None:
        image = ElementTree.Element(
            "Image",
            xmlns=NAMESPACE,
            Format=self._suffix[1:],
            Overlap=str(_OVERLAP),
            TileSize=str(TILE),
        )
        size = {"Width": str(self._picture.width), "Height": str(self._picture.height)}
        ElementTree.SubElement(image, "Size", size)
        self._path.write_bytes(
            ElementTree.tostring(image, encoding="utf-8", xml_declaration=True) + b"\n"
        )
