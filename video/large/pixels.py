"""Pixels as files hold them, and as RGB bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from video.errors import InputError
from video.pillow_reading import to_uint8

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_BLOCK_BYTES", "Alpha", "check_block", "is_picture_type", "to_rgb"]

Alpha: TypeAlias = Literal["straight", "premultiplied"] | None
"""What follows the colours: an alpha, by which they are multiplied already or not; or no alpha."""

MOST_BLOCK_BYTES: Final = 256 << 20
"""The most that a tile, a strip or a chunk may take once it is decoded, in bytes."""


def is_picture_type(dtype: np.dtype[Any] | None) -> bool:
    """Tell whether a dtype is of 8 or 16 bits without a sign, in either byte order."""
    return dtype is not None and dtype.kind == "u" and dtype.itemsize in (1, 2)


def to_rgb(pixels: NDArray[Any], alpha: Alpha = None) -> NDArray[np.uint8]:
    """(h, w, channels) of 8 or 16 bits, grey or RGB, to (h, w, 3) of 8; with alpha to (h, w, 4).

    What comes out has straight alpha. Further channels are left out.

    Example:
        >>> to_rgb(np.array([[[65535, 7]]], ">u2")).tolist()
        [[[255, 255, 255]]]
        >>> to_rgb(np.array([[[50, 128]]], np.uint8), "premultiplied").tolist()
        [[[100, 100, 100, 128]]]
    """
    colors = 3 if pixels.shape[2] >= 3 else 1
    kept = pixels[..., : colors + (alpha is not None)]
    eight = to_uint8(kept.astype(kept.dtype.newbyteorder("="), copy=False))
    if colors == 1:
        eight = eight[..., [0, 0, 0, *range(1, eight.shape[2])]]
    return _straight(eight) if alpha == "premultiplied" else np.ascontiguousarray(eight)


def _straight(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 4) whose colours were multiplied by their alpha, without that."""
    alpha = pixels[..., 3:].astype(np.uint32)
    colors = (pixels[..., :3] * np.uint32(255) + alpha // 2) // np.maximum(alpha, 1)
    return np.concatenate((np.minimum(colors, 255).astype(np.uint8), pixels[..., 3:]), axis=2)


def check_block(shape: tuple[int, ...], itemsize: int, path: Path) -> None:
    """Refuse tiles, strips or chunks that are too large to be decoded one by one."""
    if min(shape) < 1 or math.prod(shape) * itemsize > MOST_BLOCK_BYTES:
        raise InputError(
            f"expected tiles, strips or chunks of up to {MOST_BLOCK_BYTES >> 20} MiB in '{path}';"
            f" found {'x'.join(map(str, shape))} of {itemsize} bytes: save it in tiles"
        )
