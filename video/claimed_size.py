"""The size that a header claims, held against what there is, before pixels are made room for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import psutil

from video.errors import InputError

__all__ = ["MOST_INFLATED", "check_claimed_size", "most_pixels"]

MOST_INFLATED: Final = 1032
"""The most bytes that deflate makes of one: a length of 258 in 2 bits (RFC 1951)."""

_ALWAYS_ALLOWED_PIXELS: Final = 1 << 22
_BYTES_PER_PIXEL: Final = 8
"""Decoded to 8 bits, and once more in the order of our side."""

# The most pixels in a byte of a file, by Pillow's names of pictures and FFmpeg's of codecs. Where
# the format sets no bound, it is several times what encoders reach with 8192x8192 black pixels.
_MOST_PIXELS_PER_BYTE: Final = {
    "PNG": 8 * MOST_INFLATED,  # pixels of 1 bit
    "JPEG": 512,  # at least a bit for the 64 pixels of a block
    "BMP": 128,  # runs of 255 in two bytes
    "TGA": 128,  # runs of 128 in two bytes
    "QOI": 62,  # runs
    "PPM": 8,
    "gif": 4096,  # codes of 12 bits for up to 4096 pixels
    "HEIF": 1 << 15,
    "h264": 1 << 15,
    "hevc": 1 << 15,
    "vp9": 1 << 17,
    "AVIF": 1 << 16,  # libavif scales what is coded to what the header claims
    "av1": 1 << 20,
    "WEBP": 1 << 17,
    "TIFF": 1 << 17,
    "JPEG2000": 1 << 17,
}
_OTHERWISE: Final = 8 * MOST_INFLATED


def check_claimed_size(size: tuple[int, int], kind: str, file_bytes: int, name: Path) -> None:
    """Refuse a picture or a video that claims more pixels than it can hold, or than fit in memory.

    Args:
        size: width and height by the header, in pixels.
        kind: Pillow's name of a picture's format, or FFmpeg's of a video's codec.
        file_bytes: of the whole file.
        name: of the file, for the message.

    Raises:
        InputError: it does.
    """
    width, height = size
    pixels = width * height
    if pixels <= _ALWAYS_ALLOWED_PIXELS:
        return
    if pixels > _held(kind, file_bytes):
        raise InputError(
            f"cannot read '{name}': its header claims {width}x{height} pixels, more than its"
            f" {file_bytes} bytes can hold; is it complete?"
        )
    needed, free = pixels * _BYTES_PER_PIXEL, psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"cannot read '{name}': its {width}x{height} pixels take {needed / 2**30:.1f} GiB, and"
            f" {free / 2**30:.1f} GiB of memory are free; give it as a tiled .tif or a .zarr, which"
            " are read in parts"
        )


def most_pixels(kind: str | None, file_bytes: int) -> int:
    """The most pixels that a picture in a file of a kind may have, or of any where it is None.

    FFmpeg takes the number, which has 31 bits.

    >>> most_pixels("PPM", 2**20), most_pixels("gif", 100)
    (8388608, 4194304)
    """
    fitting = psutil.virtual_memory().available // _BYTES_PER_PIXEL
    return max(_ALWAYS_ALLOWED_PIXELS, min(fitting, _held(kind, file_bytes), 2**31 - 1))


def _held(kind: str | None, file_bytes: int) -> int:
    if kind is None:
        return file_bytes * max(_MOST_PIXELS_PER_BYTE.values())
    return file_bytes * _MOST_PIXELS_PER_BYTE.get(kind, _OTHERWISE)
