"""The size that a header claims, held against what there is, before a picture is decoded."""

from __future__ import annotations

import struct
from pathlib import Path

import psutil

from video.errors import InputError

__all__ = ["MOST_INFLATED", "check_claimed_size"]

MOST_INFLATED = 1032
"""The most bytes that deflate makes of one: a length of 258 in 2 bits (RFC 1951)."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))

# Pixels of 1 bit are eight times as many; baseline JPEG takes at least 6 bits for a block of 64
# pixels, and with chroma at half size three blocks of six for 256 of them.
_MOST_PIXELS_PER_BYTE = 8 * MOST_INFLATED
_ALWAYS_ALLOWED_PIXELS = 1 << 22
_BYTES_PER_PIXEL = 8
"""Decoded to 8 bits, and once more in the order of our side."""


def check_claimed_size(data: bytes, name: Path) -> None:
    """Refuse a PNG or JPEG that claims more pixels than its bytes can hold, or than fit in memory.

    Other formats cannot claim more than 16,384 pixels a side, or are held against the file by
    what reads them.

    Raises:
        InputError: it does.
    """
    size = _claimed(data)
    if size is None:
        return
    width, height = size
    pixels = width * height
    if pixels <= _ALWAYS_ALLOWED_PIXELS:
        return
    if pixels > len(data) * _MOST_PIXELS_PER_BYTE:
        raise InputError(
            f"cannot read '{name}': its header claims {width}x{height} pixels, more than its"
            f" {len(data)} bytes can hold; is it complete?"
        )
    needed, free = pixels * _BYTES_PER_PIXEL, psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"cannot read '{name}': its {width}x{height} pixels take {needed / 2**30:.1f} GiB, and"
            f" {free / 2**30:.1f} GiB of memory are free; give it as a tiled .tif or a .zarr, which"
            " are read in parts"
        )


def _claimed(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, by the first header that says them; None for other formats.

    >>> _claimed(_PNG + bytes(8) + (640).to_bytes(4, "big") + (480).to_bytes(4, "big"))
    (640, 480)
    """
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    return _claimed_by_jpeg(data) if data.startswith(_JPEG) else None


def _claimed_by_jpeg(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        step = 1 if marker == 0xFF else 2
        if marker != 0xFF and marker not in _ALONE:
            step += int.from_bytes(data[place + 2 : place + 4], "big")
        place += step
    return None
