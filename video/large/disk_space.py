"""Estimates of the disk space that a picture will take, before any of it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from video.large import deepzoom, omezarr, tiff
from video.large.formats import (
    DEEP_ZOOM,
    NPY,
    PNG,
    TIFF,
    ZARR,
    RowFormat,
    choose_compression,
    choose_format,
)
from video.large.pyramid import level_sizes
from video.large.row_buffer import CHANNELS

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["needed_bytes"]

# What a file system may round a file up by, and what we allow for each file's own header.
_FILE = 4096
# A tile that is mostly padding compresses to less than this.
_PADDED_TILE = 16 << 10
# Sides of a tile, and of the smallest level at most.
_TILES = {
    TIFF: (tiff.TILE, tiff.LEAST_SIDE),
    ZARR: (omezarr.CHUNK, omezarr.LEAST_SIDE),
    DEEP_ZOOM: (deepzoom.TILE, deepzoom.LEAST_SIDE),
}


def needed_bytes(
    path: str | PathLike[str],
    *,
    width: int,
    height: int,
    compression: str | None = None,
    alpha: bool = False,
) -> int:
    """Bytes of disk that writing takes when it takes most: the output and temporary files.

    An upper estimate. What lossless compression saves is not counted on; JPEG is taken to be a
    quarter of the raw size, which only noise at a high quality exceeds. What the output replaces
    is not counted: it is there until the end, and then is gone.

    Raises:
        InputError: for an unknown suffix or compression.

    Example:
        >>> needed_bytes("a.npy", width=1000, height=1000) - 3_000_000
        4096
    """
    row_format = choose_format(Path(path))
    chosen = choose_compression(row_format, compression)
    channels = CHANNELS + alpha
    raw = width * height * channels
    if row_format is NPY:
        return raw + _FILE
    if row_format is PNG:
        return raw + height + raw // 500 + _FILE
    return _pyramid_bytes(row_format, chosen, (width, height), channels)


def _pyramid_bytes(
    row_format: RowFormat, compression: str, size: tuple[int, int], channels: int
) -> int:
    side, least = _TILES[row_format]
    total = _FILE
    for level, (wide, high) in enumerate(level_sizes(*size, least=least)):
        raw = wide * high * channels
        tiles = -(-wide // side) * -(-high // side)
        total += _payload(compression, raw, tiles, side * side * channels)
        total += 64 * tiles if row_format is TIFF else _FILE * (tiles + 2)
        # Level 0 waits for a row of tiles; so do the others, or in TIFF for the end.
        waits = row_format is TIFF and level > 0
        total += raw if waits else wide * min(high, side) * channels
    return total


def _payload(compression: str, raw: int, tiles: int, tile_bytes: int) -> int:
    if compression == "none":
        return tiles * tile_bytes
    kept = raw // 4 if compression == "jpeg" else raw + raw // 250
    return kept + tiles * min(_PADDED_TILE, tile_bytes)
