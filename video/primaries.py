"""ICC profiles of colours that a file names by a number only, as H.273 has it (nclx)."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

__all__ = ["WIDE_PRIMARIES", "profile_of_primaries"]

WIDE_PRIMARIES: Final = {9: "BT.2020", 12: "Display P3"}
"""Names of wider colours than sRGB's, by their number in H.273."""

_D65: Final = (0.3127, 0.3290)
_D50: Final = np.array([0.9642, 1.0, 0.8249])
_PRIMARIES: Final = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
"""Chromaticities x and y of red, green and blue, whose white is D65."""

_BRADFORD: Final = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_HEADER_BYTES: Final = 128
_MATRIX_TAGS: Final = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVE_TAGS: Final = (b"rTRC", b"gTRC", b"bTRC")


def profile_of_primaries(primaries: int) -> bytes | None:
    """The profile of wider colours than sRGB's, by their number in H.273; None for others.

    Their curve is sRGB's, as it is taken to be where a file says that its primaries are sRGB's.
    """
    chromaticities = _PRIMARIES.get(primaries)
    if chromaticities is None:
        return None
    to_xyz = np.stack([_xyz(each) for each in chromaticities], axis=1)
    to_xyz = to_xyz * np.linalg.solve(to_xyz, _xyz(_D65))
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ _xyz(_D65))
    adapted = np.linalg.solve(_BRADFORD, scale[:, None] * (_BRADFORD @ to_xyz))
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50)}
    for tag, column in zip(_MATRIX_TAGS, adapted.T, strict=True):
        tags[tag] = b"XYZ \0\0\0\0" + _fixed(*column)
    curve = b"para\0\0\0\0\0\3\0\0" + _fixed(*_SRGB_CURVE)
    return _profile(tags | dict.fromkeys(_CURVE_TAGS, curve))


def _xyz(chromaticity: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _profile(tags: dict[bytes, bytes]) -> bytes:
    table, content = struct.pack(">I", len(tags)), b""
    start = _HEADER_BYTES + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(content), len(data))
        content += data
    size = start + len(content)
    kind = struct.pack(">II4s4s4s4s", size, 0, b"\4\x20\0\0", b"mntr", b"RGB ", b"XYZ ")
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    header = kind + date + b"acsp" + bytes(28) + _fixed(*_D50)
    return header.ljust(_HEADER_BYTES, b"\0") + table + content
