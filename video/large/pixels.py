"""Pixels as files hold them, and as RGB bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from video.errors import InputError
from video.pillow_reading import to_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_BLOCK_BYTES", "check_block", "is_picture_type", "to_rgb"]

MOST_BLOCK_BYTES: Final = 256 << 20
"""The most that a tile, a strip or a chunk may take once it is decoded, in bytes."""


def is_picture_type(dtype: np.dtype[Any] | None) -> bool:
    """Tell whether a dtype is of 8 or 16 bits without a sign, in either byte order."""
    return dtype is not None and dtype.kind == "u" and dtype.itemsize in (1, 2)


def to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w, channels) of 8 or 16 bits to (h, w, 3) of 8: grey or RGB, each with alpha or without.

    Example:
        >>> to_rgb(np.array([[[65535, 7]]], ">u2")).tolist()
        [[[255, 255, 255]]]
    """
    colors = pixels[..., : 3 if pixels.shape[2] >= 3 else 1]
    eight = to_uint8(colors.astype(colors.dtype.newbyteorder("="), copy=False))
    return np.repeat(eight, 3, axis=2) if eight.shape[2] == 1 else np.ascontiguousarray(eight)


def check_block(shape: tuple[int, ...], itemsize: int, path: Path) -> None:
    """Refuse tiles, strips or chunks that are too large to be decoded one by one."""
    if min(shape) < 1 or math.prod(shape) * itemsize > MOST_BLOCK_BYTES:
        raise InputError(
            f"expected tiles, strips or chunks of up to {MOST_BLOCK_BYTES >> 20} MiB in '{path}';"
            f" found {'x'.join(map(str, shape))} of {itemsize} bytes: save it in tiles"
        )
