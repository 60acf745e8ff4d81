"""Pixels that lie in a file as they are, row after row: a .npy, or a TIFF without compression."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from video.errors import InputError
from video.large.pixels import Alpha, is_picture_type, to_rgb
from video.large.row_buffer import fill_from, read_rows
from video.npy_header import read_npy_header

if TYPE_CHECKING:
    from contextlib import ExitStack
    from io import FileIO

    from numpy.typing import NDArray

__all__ = ["RawLayout", "RawPixels", "open_npy"]


class RawLayout(NamedTuple):
    """The place of the pixels: from byte ``offset`` on, (height, width, channels) of ``dtype``."""

    offset: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    alpha: Alpha


class RawPixels:
    """A picture read by rows. Not mapped: a mapping of a file that shrinks ends the process, and
    what it brings in counts as the process's memory.
    """

    def __init__(self, file: FileIO, layout: RawLayout) -> None:
        self.size = layout.shape[:2]
        self._fill, self._layout = fill_from(file), layout
        self._pixel_bytes = layout.shape[2] * layout.dtype.itemsize

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        shape = (rows.stop - rows.start, columns.stop - columns.start, self._pixel_bytes)
        stride = self.size[1] * self._pixel_bytes
        place = rows.start * stride + columns.start * self._pixel_bytes
        found = read_rows(self._fill, self._layout.offset + place, shape, stride=stride)
        return to_rgb(found.view(self._layout.dtype), self._layout.alpha)


def open_npy(path: Path, closing: ExitStack) -> RawPixels:
    """The picture in a .npy file, which ``closing`` takes.

    Raises:
        InputError: if it is none of 8 or 16 bits, (H, W) or (H, W, 3) in C order, or cut short.
    """
    file = closing.enter_context(path.open("rb", buffering=0))
    header = read_npy_header(file, f"'{path}'")
    sizes = list(header.shape)
    if len(sizes) == 4 and sizes[0] == 1:
        del sizes[0]
    if len(sizes) == 2:
        sizes.append(1)
    is_picture = len(sizes) == 3 and min(sizes) >= 1 and sizes[2] in (1, 3, 4)
    if not is_picture or header.is_fortran or not is_picture_type(header.dtype):
        raise InputError(
            f"expected uint8 or uint16 (H, W, 3) or (H, W) in C order in '{path}'; found"
            f" {header.dtype} {header.shape} in {'Fortran' if header.is_fortran else 'C'} order"
        )
    header.require_inside(os.fstat(file.fileno()).st_size, f"'{path}'")
    height, width, channels = sizes
    alpha: Alpha = "straight" if channels == 4 else None
    layout = RawLayout(header.length, (height, width, channels), header.dtype, alpha)
    return RawPixels(file, layout)
