"""A small picture of a large one, while that is being made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from video import write_image
from video.images import check_writable
from video.large.pyramid import Pyramid
from video.transparency import Transparency

__all__ = ["Preview"]

_LONGEST = 1024
_EVERY_SECONDS = 2.0
_NOT_YET = 32


class Preview:
    """The rows of a picture, halved until they fit 1024 pixels, in a file of their own.

    It is written every two seconds, and is complete whenever it is looked at. What has not come yet
    is dark grey.

    Args:
        path: A .png, .jpg or .webp; what is there is replaced.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        channels: 3, or 4 with alpha, which a .jpg shows over white.
        clock: Seconds.

    Raises:
        InputError: It cannot be written, or is no picture.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        channels: int = 3,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_writable(path, overwrite=True)
        self._path, self._clock = path, clock
        self._pyramid = Pyramid(width, height, least=_LONGEST, consume=self._take)
        wide, high = self._pyramid.sizes[-1]
        self._image = np.full((high, wide, channels), _NOT_YET, np.uint8)
        is_jpeg = os.fspath(path).lower().endswith((".jpg", ".jpeg"))
        self._shown = Transparency(is_kept=channels == 4 and not is_jpeg)
        self._written = clock()

    def write(self, rows: npt.NDArray[np.uint8]) -> None:
        """Add the next rows, (n, width, 3 or 4)."""
        self._pyramid.write(rows)
        if self._clock() - self._written >= _EVERY_SECONDS:
            self.save()

    def save(self) -> None:
        """Write what has come so far.

        Raises:
            OutputError: There is no room for it.
        """
        write_image(self._path, self._shown.applied(self._image), overwrite=True)
        self._written = self._clock()

    def _take(self, level: int, start: int, rows: npt.NDArray[np.uint8]) -> None:
        if level == len(self._pyramid.sizes) - 1:
            self._image[start : start + len(rows)] = rows
