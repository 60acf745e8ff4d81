"""The first page of a TIFF as blocks of pixels that are decoded one by one.

Blocks are decoded directly. tifffile's own Zarr view has no memory, so it would decode a tile again
for each region that touches it, and it makes pixels of what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from video.errors import InputError, TaesdStreamError, first_line
from video.large.blocks import Blocks
from video.large.libraries import load_library
from video.large.pixels import MOST_BLOCK_BYTES, check_block, to_rgb
from video.large.raw_pixels import RawLayout, RawPixels

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["open_tiff"]

_GREY, _RGB, _YCBCR = 1, 2, 6
_ALPHA = ((1,), (2,))
# JPEG in its old form, in its new one, and two more names of that.
_JPEG = (6, 7, 33007, 34892)
_JPEG_END = b"\xff\xd9"


def open_tiff(path: Path, closing: ExitStack, *, cache_bytes: int) -> Blocks | RawPixels:
    """The first page of a TIFF; ``closing`` takes the file.

    Raises:
        InputError: if it holds no grey or RGB picture of 8 or 16 bits, or its tiles are huge.
        MissingExtraError: if a library that it needs is not installed.
    """
    tifffile = load_library("tifffile", ".tif")
    try:
        page = closing.enter_context(tifffile.TiffFile(path)).pages[0]
        _check_page(page, path)
        if page.compression != 1:
            load_library("imagecodecs", "compressed .tif")
        layout = _raw_layout(page)
        if layout is None:
            return _tiff_blocks(page, path, cache_bytes)
        closing.close()
        return RawPixels(closing.enter_context(path.open("rb", buffering=0)), layout)
    except TaesdStreamError:
        raise
    except Exception as error:  # whatever a broken header makes the library stumble over
        raise InputError(f"cannot read '{path}' as TIFF: {first_line(error)}") from error


def _check_page(page: Any, path: Path) -> None:
    samples, photometric = page.samplesperpixel, page.photometric
    is_color = photometric == _RGB and samples >= 3
    is_grey = photometric == _GREY and (
        samples == 1 or (samples == 2 and tuple(page.extrasamples) in _ALPHA)
    )
    # Only JPEG comes out of its decoder as RGB.
    is_jpeg = photometric == _YCBCR and page.compression in _JPEG and page.planarconfig == 1
    is_whole = page.bitspersample in (8, 16) and page.dtype in (np.uint8, np.uint16)
    if not (is_color or is_grey or (is_jpeg and samples == 3)) or not is_whole:
        name = getattr(photometric, "name", photometric)
        raise InputError(
            f"expected a grey or RGB picture of 8 or 16 bits in '{path}'; found {name} of {samples}"
            f" samples, {page.dtype} of {page.bitspersample} bits: save it as RGB"
        )
    if page.imagedepth != 1 or min(page.imagelength, page.imagewidth) < 1:
        raise InputError(
            f"expected a flat picture in '{path}'; found {page.imagewidth}x{page.imagelength}"
            f"x{page.imagedepth}"
        )


def _raw_layout(page: Any) -> RawLayout | None:
    """The place of the pixels, if they lie in the file as they are, and are all there."""
    if not page.is_final or (page.planarconfig != 1 and page.samplesperpixel > 1):
        return None
    offset, needed, file = page.dataoffsets[0], page.nbytes, page.parent
    is_whole = offset + needed <= file.filehandle.size
    if offset == 0 or sum(page.databytecounts) < needed or not is_whole:
        return None
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    return RawLayout(offset, shape, np.dtype(page.dtype).newbyteorder(file.byteorder))


def _tiff_blocks(page: Any, path: Path, cache_bytes: int) -> Blocks:
    height, width = page.imagelength, page.imagewidth
    high = page.tilelength if page.is_tiled else min(page.rowsperstrip, height)
    wide = page.tilewidth if page.is_tiled else width
    contiguous = page.samplesperpixel if page.planarconfig == 1 else 1
    check_block((high, wide, contiguous), page.dtype.itemsize, path)
    across, down = -(-width // wide), -(-height // high)
    planes = 3 if page.planarconfig != 1 and page.samplesperpixel >= 3 else 1
    found = min(len(page.dataoffsets), len(page.databytecounts))
    if found < across * down * planes:
        raise InputError(
            f"expected {across * down * planes} tiles or strips in '{path}'; found {found}: is it"
            " complete?"
        )

    def decode(row: int, column: int) -> NDArray[np.uint8] | None:
        numbers = [(plane * down + row) * across + column for plane in range(planes)]
        parts = [_tiff_segment(page, number, path) for number in numbers]
        present = [part for part in parts if part is not None]
        if not present:
            return None
        black = np.zeros_like(present[0])
        return to_rgb(np.concatenate([black if part is None else part for part in parts], axis=2))

    return Blocks((height, width), (high, wide), decode, cache_bytes=cache_bytes)


def _tiff_segment(page: Any, number: int, path: Path) -> NDArray[Any] | None:
    """A tile or strip, (h, w, samples); None where a sparse file has none."""
    offset, count = page.dataoffsets[number], page.databytecounts[number]
    if offset == 0 and count == 0:
        return None
    file = page.parent.filehandle
    if offset == 0 or not 0 < count <= file.size - offset:
        raise InputError(
            f"tile or strip {number} of '{path}' is missing: found {count} bytes at {offset} of"
            f" {file.size}; copy or save it anew"
        )
    if count > MOST_BLOCK_BYTES:
        raise InputError(f"tile or strip {number} of '{path}' takes {count} bytes: too many")
    file.seek(offset)
    data = file.read(count)
    if page.compression in _JPEG and page.jpegheader is None:
        _check_jpeg(data, number, path)
    segment, _, shape = page.decode(
        data, number, jpegtables=page.jpegtables, jpegheader=page.jpegheader
    )
    decoded: NDArray[Any] = segment[0, : shape[1], : shape[2]]
    return decoded


def _check_jpeg(data: bytes, number: int, path: Path) -> None:
    """Refuse what the decoder would fill with grey, or make much room for."""
    # Some writers add a few bytes, to fill up to a round number.
    if _JPEG_END not in data.rstrip(b"\0")[-16:]:
        raise InputError(
            f"tile or strip {number} of '{path}' is cut short: expected the end of a JPEG picture,"
            f" found {data[-2:].hex()}; copy or save it anew"
        )
    check_block((*_jpeg_size(data), 3), 1, path)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Height and width as the picture's own header has them; 1x1 where there is none.

    Example:
        >>> _jpeg_size(bytes.fromhex("ffd8 ffe00002 ffc00011 08 0010 0020"))
        (16, 32)
    """
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            # A height of zero is one that is told later.
            sizes = (data[at + 5 : at + 7], data[at + 7 : at + 9])
            height, width = (max(1, int.from_bytes(size, "big")) for size in sizes)
            return height, width
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 1, 1
