"""OME-Zarr 0.5: a pyramid of chunks in a folder, read piece by piece, over HTTP too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from video.large.libraries import load_library
from video.large.pyramid import level_sizes
from video.large.row_buffer import CHANNELS
from video.large.tiled_encoder import TiledEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["CHUNK", "LEAST_SIDE", "OmeZarrEncoder", "ome_attributes"]

CHUNK = 512
LEAST_SIDE = 512
_AXES = {"c": "channel", "y": "space", "x": "space"}
_COLORS = (("Red", "FF0000"), ("Green", "00FF00"), ("Blue", "0000FF"))


def ome_attributes(name: str, levels: int) -> dict[str, Any]:
    """The ``ome`` attribute of a picture of ``levels`` levels, arrays "0", "1" and so on.

    Lengths are in pixels of level 0. The centre of a pixel of level 1 lies between those of the
    first two of level 0: hence the translation.

    Example:
        >>> level = ome_attributes("x", 2)["multiscales"][0]["datasets"][1]
        >>> level["coordinateTransformations"][1]
        {'type': 'translation', 'translation': [0.0, 0.5, 0.5]}
    """
    datasets = []
    for level in range(levels):
        scale = float(1 << level)
        middle = (scale - 1) / 2
        moves = [
            {"type": "scale", "scale": [1.0, scale, scale]},
            {"type": "translation", "translation": [0.0, middle, middle]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": [{"name": axis, "type": kind} for axis, kind in _AXES.items()],
                "datasets": datasets,
                "type": "mean",
            }
        ],
        "omero": {
            "channels": [
                {"label": label, "color": color, "active": True, "window": dict(window)}
                for label, color in _COLORS
            ],
            "rdefs": {"model": "color"},
        },
    }


class OmeZarrEncoder(TiledEncoder):
    """Writes every level as soon as a row of its chunks is complete.

    Args:
        path: an empty folder, which becomes a Zarr group of version 3.
        picture: with compression "zstd" or "none"; its name is the one inside. Some chunks are held
            whatever its ``memory_bytes``.
    """

    def __init__(self, path: Path, picture: RowPicture) -> None:
        zarr = load_library("zarr", ".ome.zarr")
        sizes = level_sizes(picture.width, picture.height, least=LEAST_SIDE)
        group = zarr.create_group(
            store=str(path),
            zarr_format=3,
            attributes={"ome": ome_attributes(picture.name, len(sizes))},
        )
        self._arrays = [
            group.create_array(
                name=str(level),
                shape=(CHANNELS, height, width),
                chunks=(CHANNELS, CHUNK, CHUNK),
                dtype="uint8",
                compressors=zarr.codecs.ZstdCodec() if picture.compression == "zstd" else None,
                dimension_names=tuple(_AXES),
            )
            for level, (width, height) in enumerate(sizes)
        ]
        # Zarr could write many chunks at once by itself; but when one fails, it goes on with the
        # others unseen, in a folder that we are about to remove.
        super().__init__(picture, side=CHUNK, least=LEAST_SIDE, folder=path.parent)

    def _store(self, level: int, row: int, column: int, chunk: NDArray[np.uint8]) -> None:
        top, left = row * CHUNK, column * CHUNK
        height, width = chunk.shape[:2]
        planes = np.ascontiguousarray(chunk.transpose(2, 0, 1))
        self._arrays[level][:, top : top + height, left : left + width] = planes
