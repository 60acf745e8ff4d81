"""The first page of a TIFF as blocks of pixels that are decoded one by one.

Blocks are decoded directly. tifffile's own Zarr view has no memory, so it would decode a tile again
for each region that touches it, and it makes pixels of what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from video.color_profile import ColorProfile
from video.errors import InputError, TaesdStreamError, first_line
from video.file_kinds import TIFF, kind_of_file
from video.large.blocks import Blocks
from video.large.libraries import load_library
from video.large.pixels import MOST_BLOCK_BYTES, Alpha, check_block, to_rgb
from video.large.raw_pixels import RawLayout, RawPixels
from video.large.shown_pixels import Pixels, ShownPixels
from video.large.tiff_colors import (
    CMYK,
    GREY,
    LAB,
    PALETTE,
    WHITE_IS_ZERO,
    ToPlain,
    plain_colors,
)
from video.orientation import UPRIGHT, Orientation
from video.pillow_opening import is_smaller_copy
from video.quiet_logging import keep_from_stderr

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["TiffPicture", "is_tiff_in_parts", "open_tiff"]

Value = TypeVar("Value", int, bytes)

_ORIENTATION_TAG, _PROFILE_TAG = 274, 34675
_RGB, _YCBCR = 2, 6
_ALPHA: dict[int, Alpha] = {1: "premultiplied", 2: "straight"}
# JPEG in its old form, in its new one, and two more names of that.
_JPEG = (6, 7, 33007, 34892)
_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class TiffPicture:
    """The picture of a TIFF.

    Attributes:
        pixels: as they are to be shown.
        pages: how many pages there are, of which this is the first.
    """

    pixels: Pixels
    pages: int


def open_tiff(path: Path, closing: ExitStack, *, cache_bytes: int) -> TiffPicture:
    """The first page of a TIFF, upright and in sRGB; ``closing`` takes the file.

    Where rows and columns change places, up to 256 MiB of what is decoded are kept.

    Raises:
        InputError: if it holds no picture of up to 16 bits a channel, or its tiles are huge.
        MissingExtraError: if a library that it needs is not installed.
    """
    try:
        file = closing.enter_context(_tifffile().TiffFile(path))
        page = file.pages[0]
        icc = _tag(page, _PROFILE_TAG, bytes)
        to_plain = plain_colors(page, icc)
        if to_plain is None:
            _check_page(page, path)
        _check_flat(page, path)
        if page.compression != 1:
            load_library("imagecodecs", "compressed .tif")
        orientation = Orientation.of_exif(_tag(page, _ORIENTATION_TAG, int) or 1)
        profile = ColorProfile.of(icc)
        pages = _pages(file)
        layout = _raw_layout(page) if to_plain is None else None
        stored: Pixels
        if layout is None:
            most = MOST_BLOCK_BYTES if orientation.transposed else 0
            stored = _tiff_blocks(page, path, max(cache_bytes, most), to_plain)
        else:
            closing.close()
            stored = RawPixels(closing.enter_context(path.open("rb", buffering=0)), layout)
    except TaesdStreamError:
        raise
    except Exception as error:  # whatever a broken header makes the library stumble over
        raise InputError(
            f"cannot read '{path}' as TIFF: {first_line(error)}; is it complete?"
        ) from error
    if orientation != UPRIGHT or profile is not None:
        stored = ShownPixels(stored, orientation, profile)
    return TiffPicture(stored, pages)


def is_tiff_in_parts(path: Path) -> bool:
    """Whether a file is a TIFF that ``open_tiff`` is to read, or to refuse.

    Pillow reads others as a whole: faxes, CMYK as JPEG, Lab; and so is what is no TIFF.
    """
    if kind_of_file(path) != TIFF:
        return False
    try:
        with _tifffile().TiffFile(path) as file:
            page = file.pages[0]
            return max(np.ravel(page.bitspersample)) > 8 or not _is_for_pillow(page)
    except TaesdStreamError:
        raise
    except Exception:  # open_tiff says what is wrong
        return True


def _is_for_pillow(page: Any) -> bool:
    is_other = page.photometric in (WHITE_IS_ZERO, PALETTE, CMYK, LAB)
    is_other |= page.photometric == _YCBCR and page.compression not in _JPEG
    is_other |= page.bitspersample in (1, 2, 4)
    has_decoder = page.compression == 1 or find_spec("imagecodecs") is not None
    return is_other and (plain_colors(page, None) is None or not has_decoder)


def _tifffile() -> Any:
    keep_from_stderr("tifffile")
    return load_library("tifffile", ".tif")


def _tag(page: Any, code: int, kind: type[Value]) -> Value | None:
    tag = page.tags.get(code)
    return kind(tag.value) if tag is not None and isinstance(tag.value, kind) else None


def _pages(file: Any) -> int:
    """How many pages there are, or 1 where the second is a smaller copy of the first."""
    pages = len(file.pages)
    if pages < 2:
        return 1
    first, second = file.pages[0], file.pages[1]
    is_smaller = is_smaller_copy(
        (second.imagewidth, second.imagelength), (first.imagewidth, first.imagelength)
    )
    return 1 if is_smaller or second.is_reduced or second.is_mask else pages


def _check_page(page: Any, path: Path) -> None:
    samples, photometric = page.samplesperpixel, page.photometric
    is_color = photometric == _RGB and samples >= 3
    is_grey = photometric == GREY and (
        samples == 1 or (samples == 2 and _alpha_of(page) is not None)
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


def _check_flat(page: Any, path: Path) -> None:
    if page.imagedepth != 1 or min(page.imagelength, page.imagewidth) < 1:
        raise InputError(
            f"expected a flat picture in '{path}'; found {page.imagewidth}x{page.imagelength}"
            f"x{page.imagedepth}"
        )


def _alpha_of(page: Any) -> Alpha:
    """What the first sample after the colours is, by the file's own word."""
    extra = tuple(page.extrasamples)
    return _ALPHA.get(int(extra[0])) if extra else None


def _raw_layout(page: Any) -> RawLayout | None:
    """The place of the pixels, if they lie in the file as they are, and are all there."""
    if not page.is_final or (page.planarconfig != 1 and page.samplesperpixel > 1):
        return None
    offset, needed, file = page.dataoffsets[0], page.nbytes, page.parent
    is_whole = offset + needed <= file.filehandle.size
    if offset == 0 or sum(page.databytecounts) < needed or not is_whole:
        return None
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    dtype = np.dtype(page.dtype).newbyteorder(file.byteorder)
    return RawLayout(offset, shape, dtype, _alpha_of(page))


def _tiff_blocks(page: Any, path: Path, cache_bytes: int, to_plain: ToPlain | None) -> Blocks:
    height, width = page.imagelength, page.imagewidth
    high = page.tilelength if page.is_tiled else min(page.rowsperstrip, height)
    wide = page.tilewidth if page.is_tiled else width
    contiguous = page.samplesperpixel if page.planarconfig == 1 else 1
    check_block((high, wide, contiguous), page.dtype.itemsize, path)
    across, down = -(-width // wide), -(-height // high)
    alpha = _alpha_of(page)
    samples = (3 if page.samplesperpixel >= 3 else 1) + (alpha is not None)
    if to_plain is not None:
        samples = 1  # in one plane
    planes = samples if page.planarconfig != 1 else 1
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
        pixels = np.concatenate([black if part is None else part for part in parts], axis=2)
        return to_rgb(pixels if to_plain is None else to_plain(pixels), alpha)

    channels = 3 if alpha is None else 4
    return Blocks((height, width), (high, wide), decode, cache_bytes=cache_bytes, channels=channels)


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
