"""TIFF pages and Zarr arrays as blocks of pixels that are decoded one by one.

Blocks are decoded directly. tifffile's own Zarr view has no memory, so it would decode a tile again
for each window that touches it, and it makes pixels of what is missing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from video.errors import InputError, TaesdStreamError
from video.images import to_uint8
from video.large.blocks import Blocks
from video.large.libraries import load_library

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["RawLayout", "first_line", "is_picture_type", "open_tiff", "open_zarr", "to_rgb"]

_MOST_BLOCK_BYTES = 256 << 20
_GREY, _RGB, _YCBCR = 1, 2, 6
_ALPHA = ((1,), (2,))
# JPEG in its old form, in its new one, and two more names of that.
_JPEG = (6, 7, 33007, 34892)
_JPEG_END = b"\xff\xd9"
_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")


class RawLayout(NamedTuple):
    """Where pixels lie in a file as they are, row after row: (height, width, channels)."""

    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]


def is_picture_type(dtype: np.dtype[Any]) -> bool:
    """Whether it is of 8 or 16 bits without a sign, in either byte order."""
    return dtype.kind == "u" and dtype.itemsize in (1, 2)


def to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w, channels) of 8 or 16 bits to (h, w, 3) of 8: grey or RGB, each with alpha or without.

    Example:
        >>> to_rgb(np.array([[[65535, 7]]], ">u2")).tolist()
        [[[255, 255, 255]]]
    """
    colors = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    eight = to_uint8(colors.astype(colors.dtype.newbyteorder("="), copy=False))
    return np.repeat(eight, 3, axis=2) if eight.shape[2] == 1 else np.ascontiguousarray(eight)


def first_line(error: BaseException) -> str:
    """What an error of a library says, in short."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]


def open_tiff(path: Path, closing: ExitStack, *, cache_bytes: int) -> Blocks | RawLayout:
    """The first page of a TIFF; ``closing`` takes the file.

    Raises:
        InputError: if it holds no grey or RGB picture of 8 or 16 bits, or its tiles are huge.
        MissingExtraError: if a library that it needs is not installed.
    """
    tifffile = load_library("tifffile", ".tif")
    try:
        file = closing.enter_context(tifffile.TiffFile(path))
        page = file.pages[0]
        _check_page(page, path)
        if page.compression != 1:
            load_library("imagecodecs", "compressed .tif")
        return _raw_layout(page, file.filehandle.size) or _tiff_blocks(
            file, page, path, cache_bytes
        )
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


def _raw_layout(page: Any, file_bytes: int) -> RawLayout | None:
    """Where the pixels are, if they lie in the file as they are, and are all there."""
    if not page.is_final or (page.planarconfig != 1 and page.samplesperpixel > 1):
        return None
    offset, needed = page.dataoffsets[0], page.nbytes
    if offset == 0 or sum(page.databytecounts) < needed or offset + needed > file_bytes:
        return None
    shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
    return RawLayout(offset, shape, np.dtype(page.dtype).newbyteorder(page.parent.byteorder))


def _tiff_blocks(file: Any, page: Any, path: Path, cache_bytes: int) -> Blocks:
    height, width = page.imagelength, page.imagewidth
    high = page.tilelength if page.is_tiled else min(page.rowsperstrip, height)
    wide = page.tilewidth if page.is_tiled else width
    contiguous = page.samplesperpixel if page.planarconfig == 1 else 1
    _check_block((high, wide, contiguous), page.dtype.itemsize, path)
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
        parts = [_tiff_segment(file, page, number, path) for number in numbers]
        present = [part for part in parts if part is not None]
        if not present:
            return None
        black = np.zeros_like(present[0])
        return to_rgb(np.concatenate([black if part is None else part for part in parts], axis=2))

    return Blocks(
        height, width, block_height=high, block_width=wide, decode=decode, cache_bytes=cache_bytes
    )


def _tiff_segment(file: Any, page: Any, number: int, path: Path) -> NDArray[Any] | None:
    """A tile or strip, (h, w, samples); None where a sparse file has none."""
    offset, count = page.dataoffsets[number], page.databytecounts[number]
    if offset == 0 and count == 0:
        return None
    size = file.filehandle.size
    if offset == 0 or not 0 < count <= size - offset:
        raise InputError(
            f"tile or strip {number} of '{path}' is missing: found {count} bytes at {offset} of"
            f" {size}; copy or save it anew"
        )
    if count > _MOST_BLOCK_BYTES:
        raise InputError(f"tile or strip {number} of '{path}' takes {count} bytes: too many")
    file.filehandle.seek(offset)
    data = file.filehandle.read(count)
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
    _check_block((*_jpeg_size(data), 3), 1, path)


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


def _check_block(shape: tuple[int, ...], itemsize: int, path: Path) -> None:
    if min(shape) < 1 or math.prod(shape) * itemsize > _MOST_BLOCK_BYTES:
        raise InputError(
            f"expected tiles, strips or chunks of up to {_MOST_BLOCK_BYTES >> 20} MiB in '{path}';"
            f" found {'x'.join(map(str, shape))} of {itemsize} bytes: save it in tiles"
        )


def open_zarr(path: Path, *, cache_bytes: int) -> tuple[Blocks, tuple[Path, ...]]:
    """A Zarr array, or the first dataset of the first picture of an OME-Zarr group.

    Returns:
        The picture, and the files that say what it is.

    Raises:
        InputError: if it holds no grey or RGB picture of 8 or 16 bits, or its chunks are huge.
        MissingExtraError: if zarr is not installed.
    """
    zarr = load_library("zarr", ".zarr")
    try:
        node = zarr.open(store=str(path), mode="r")
        axes: str | None = None
        if isinstance(node, zarr.Group):
            name, axes = _first_dataset(dict(node.attrs), path)
            node = node[name]
            if isinstance(node, zarr.Group):
                raise InputError(f"expected an array '{name}' in '{path}'; found a group")
        blocks = _zarr_blocks(node, axes or _guessed_axes(node.shape), path, cache_bytes)
    except TaesdStreamError:
        raise
    except Exception as error:  # whatever broken metadata make the library stumble over
        raise InputError(f"cannot read '{path}' as Zarr: {first_line(error)}") from error
    places = dict.fromkeys((path, path / node.path))
    return blocks, tuple(
        place / file for place in places for file in _ZARR_FILES if (place / file).is_file()
    )


def _first_dataset(attributes: dict[str, Any], path: Path) -> tuple[str, str]:
    """Name and axes of the largest array of the first picture of an OME-Zarr group."""
    try:
        image = attributes.get("ome", attributes)["multiscales"][0]
        axes = [axis if isinstance(axis, str) else axis["name"] for axis in image["axes"]]
        return str(image["datasets"][0]["path"]), "".join(name.lower()[:1] for name in axes)
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(
            f"expected an OME-Zarr picture (0.4 or 0.5) or a Zarr array at '{path}'; found a group"
            " without multiscales, their axes or their datasets"
        ) from error


def _guessed_axes(shape: tuple[int, ...]) -> str:
    """What the axes of an array without names are: (H, W), (H, W, C) or (C, H, W), after ones.

    Example:
        >>> _guessed_axes((3, 600, 800)), _guessed_axes((1, 600, 800, 3))
        ('cyx', 'tyxc')
    """
    if len(shape) < 3:
        return "yx"[: len(shape)]
    is_planar = shape[-1] not in (3, 4) and (shape[-3] in (3, 4) or shape[-1] != 1)
    return "tz"[: len(shape) - 3] + ("cyx" if is_planar else "yxc")


def _zarr_blocks(array: Any, axes: str, path: Path, cache_bytes: int) -> Blocks:
    shape = dict(zip(axes, array.shape, strict=False))
    is_named = len(axes) == len(shape) == array.ndim and {"y", "x"} <= shape.keys() <= set("tczyx")
    is_flat = shape.get("t", 1) == shape.get("z", 1) == 1 and shape.get("c", 1) in (1, 3, 4)
    if not (is_named and is_flat and is_picture_type(array.dtype)) or 0 in array.shape:
        raise InputError(
            f"expected one picture of 8 or 16 bits, grey or RGB, at '{path}'; found {array.dtype}"
            f" {array.shape} of axes '{axes}'"
        )
    codecs = (*array.filters, *array.compressors)
    if any(getattr(codec, "codec_id", "") == "pickle" for codec in codecs):
        raise InputError(f"'{path}' is made of pickles, which are never read; save it anew")
    chunk = dict(zip(axes, array.chunks, strict=True))
    _check_block(array.chunks, array.dtype.itemsize, path)
    height, width, high, wide = shape["y"], shape["x"], chunk["y"], chunk["x"]
    order = [axis for axis in axes if axis in "yxc"]

    def decode(row: int, column: int) -> NDArray[np.uint8]:
        parts: dict[str, slice] = {
            "y": slice(row * high, min(height, (row + 1) * high)),
            "x": slice(column * wide, min(width, (column + 1) * wide)),
            "c": slice(0, 3),
        }
        pixels = np.asarray(array[tuple(parts.get(axis, 0) for axis in axes)])
        pixels = pixels.transpose([order.index(axis) for axis in "yxc" if axis in order])
        return to_rgb(pixels if pixels.ndim == 3 else pixels[..., None])

    return Blocks(
        height, width, block_height=high, block_width=wide, decode=decode, cache_bytes=cache_bytes
    )
