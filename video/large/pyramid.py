"""Half the size, and half of that: the levels of a picture that arrives in strips of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from video.errors import InputError
from video.large.row_buffer import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Pyramid", "level_sizes"]

# OpenCV counts the bytes of a row in 32 bits.
_BLOCK = 1 << 20


def level_sizes(width: int, height: int, *, least: int) -> tuple[tuple[int, int], ...]:
    """Widths and heights of a pyramid's levels: each half the one before it, rounded up.

    The first is the picture; the last is the first whose sides are at most ``least`` pixels.

    Example:
        >>> level_sizes(2500, 700, least=1000)
        ((2500, 700), (1250, 350), (625, 175))
    """
    if min(width, height, least) < 1:
        raise InputError(f"expected sizes of at least 1; found {width}x{height} down to {least}")
    sizes = [(width, height)]
    while max(sizes[-1]) > least:
        wide, high = sizes[-1]
        sizes.append(((wide + 1) // 2, (high + 1) // 2))
    return tuple(sizes)


class Pyramid:
    """Makes every level while the strips of level 0 come in, and holds one row per level at most.

    A pixel is the mean of 2x2 pixels of the level before, rounded to the nearest (halves up); where
    a side is odd, its last row or column counts twice. Of RGBA, colours weigh as much as they are
    seen. The result does not depend on how the rows are split into strips.

    Args:
        width, height: of level 0, in pixels.
        least: as for ``level_sizes``.
        consume: called with the number of a level, that of a row there, and the rows from that one
            on, (n, width, 3 or 4), from top to bottom; they may be a view of what was written, so
            they are good until it returns.

    Example:
        >>> def show(level: int, start: int, rows: NDArray[np.uint8]) -> None:
        ...     print(level, start, rows[..., 0].tolist())
        >>> pyramid = Pyramid(3, 2, least=1, consume=show)
        >>> pyramid.write(np.array([[0, 4, 8], [0, 0, 8]], np.uint8)[..., None].repeat(3, 2))
        0 0 [[0, 4, 8], [0, 0, 8]]
        1 0 [[1, 8]]
        2 0 [[5]]
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        least: int,
        consume: Callable[[int, int, NDArray[np.uint8]], None],
    ) -> None:
        self.sizes = level_sizes(width, height, least=least)
        self._consume = consume
        self._rows = [0] * len(self.sizes)
        self._pending: list[NDArray[np.uint8] | None] = [None] * len(self.sizes)

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add rows of level 0: uint8, (n, width, 3 or 4)."""
        self._add(0, rows)

    def _add(self, level: int, rows: NDArray[np.uint8]) -> None:
        self._consume(level, self._rows[level], rows)
        self._rows[level] += len(rows)
        if level + 1 == len(self.sizes):
            return
        pending, self._pending[level] = self._pending[level], None
        if pending is not None:
            self._add(level + 1, _halve(np.stack((pending, rows[0]))))
            rows = rows[1:]
        even = len(rows) // 2 * 2
        if even:
            self._add(level + 1, _halve(rows[:even]))
        if even == len(rows):
            return
        last = rows[-1]
        if self._rows[level] == self.sizes[level][1]:
            self._add(level + 1, _halve(np.stack((last, last))))
        else:
            self._pending[level] = last.copy()


def _halve(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 2x2 pixels of an even number of rows."""
    high, width, channels = len(rows) // 2, *rows.shape[1:]
    half = np.empty((high, (width + 1) // 2, channels), np.uint8)
    for left in range(0, width - 1, _BLOCK):
        right = min(left + _BLOCK, width // 2 * 2)
        half[:, left // 2 : right // 2] = _area(rows[:, left:right])
    if width % 2:
        half[:, -1:] = _area(rows[:, -1:].repeat(2, axis=1))
    return half


def _area(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if rows.shape[2] > CHANNELS:
        return _area_with_alpha(rows)
    # For a factor of exactly two, this is (a + b + c + d + 2) >> 2 in integers.
    size = (rows.shape[1] // 2, rows.shape[0] // 2)
    means = cv2.resize(rows, size, interpolation=cv2.INTER_AREA)
    return np.asarray(means, dtype=np.uint8).reshape(size[1], size[0], CHANNELS)


def _area_with_alpha(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (rows.shape[1] // 2, rows.shape[0] // 2)
    alpha = rows[..., 3:].astype(np.float32)
    seen = np.concatenate((rows[..., :3] * alpha, alpha), axis=2)
    # These sums are exact in 24 bits.
    means = cv2.resize(seen, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], 4)
    colors = means[..., :3] / np.maximum(means[..., 3:], 0.25)
    return (np.concatenate((colors, means[..., 3:]), axis=2) + 0.5).astype(np.uint8)
