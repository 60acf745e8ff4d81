"""Rows of pixels in memory, or in a scratch file where they would take too much of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from video.closing import Closing
from video.errors import InputError
from video.safe_files.scratch import ScratchFile, read_all

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CHANNELS", "RowBuffer", "check_strip", "fill_from", "read_rows"]

CHANNELS = 3

Fill: TypeAlias = Callable[[int, memoryview], None]
"""Fills a buffer with the bytes from an offset on."""


def check_strip(
    rows: object, *, width: int, height: int, before: int, path: Path, channels: int = CHANNELS
) -> None:
    """Refuse what cannot follow ``before`` rows of a picture.

    That is what is not uint8 (n, width, channels), or too many rows.

    Raises:
        InputError: if it is so.
    """
    if not isinstance(rows, np.ndarray):
        raise InputError(
            f"expected a numpy array (n, {width}, {channels}) of uint8; found {type(rows).__name__}"
        )
    if rows.ndim != 3 or rows.shape[1:] != (width, channels) or rows.dtype != np.uint8:
        raise InputError(
            f"expected rows of shape (n, {width}, {channels}) and dtype uint8;"
            f" found shape {rows.shape} and dtype {rows.dtype}"
        )
    if before + len(rows) > height:
        raise InputError(f"expected {height} rows for '{path}'; found {before + len(rows)}")


def fill_from(file: FileIO) -> Fill:
    """The reader of an unbuffered file; it raises OSError where the file ends too early."""

    def fill(offset: int, buffer: memoryview) -> None:
        if read_all(file, offset, buffer):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    return fill


def read_rows(
    fill: Fill, offset: int, shape: tuple[int, int, int], *, stride: int
) -> NDArray[np.uint8]:
    """Read an array of ``shape`` whose first row is at ``offset``, and each ``stride`` bytes on."""
    rows = np.empty(shape, np.uint8)
    if stride == shape[1] * shape[2]:
        fill(offset, rows.reshape(-1).data)
        return rows
    for index, row in enumerate(rows):
        fill(offset + index * stride, row.reshape(-1).data)
    return rows


class RowBuffer(Closing):
    """Room for ``capacity`` rows of ``width`` pixels of so many ``channels``.

    In memory if they take no more than ``memory_bytes``; else in a scratch file in ``folder``.

    Example:
        >>> buffer = RowBuffer(4, 2, memory_bytes=0, folder=None)
        >>> buffer.write(1, np.full((2, 2, 3), 7, np.uint8))
        >>> buffer.in_file, buffer.read(2, 3, left=1, right=2).tolist()
        (True, [[[7, 7, 7]]])
        >>> buffer.close()
    """

    def __init__(
        self,
        capacity: int,
        width: int,
        *,
        memory_bytes: int,
        folder: Path | None,
        channels: int = CHANNELS,
    ) -> None:
        self.capacity, self.width, self.channels = capacity, width, channels
        self._row_bytes = width * channels
        needed_bytes = capacity * self._row_bytes
        self._rows: NDArray[np.uint8] | ScratchFile
        if needed_bytes <= memory_bytes:
            self._rows = np.empty((capacity, width, channels), np.uint8)
        else:
            self._rows = ScratchFile(folder=folder, needed_bytes=needed_bytes)

    @property
    def in_file(self) -> bool:
        """Whether the rows lie in a file."""
        return isinstance(self._rows, ScratchFile)

    def write(self, start: int, rows: NDArray[np.uint8]) -> None:
        """Put ``rows``, (n, width, channels), where row ``start`` is."""
        if isinstance(self._rows, ScratchFile):
            self._rows.write(start * self._row_bytes, np.ascontiguousarray(rows).data)
        else:
            self._rows[start : start + len(rows)] = rows

    def read(self, start: int, stop: int, *, left: int, right: int) -> NDArray[np.uint8]:
        """Columns left to right of rows start to stop; good until the next write."""
        if not isinstance(self._rows, ScratchFile):
            return self._rows[start:stop, left:right]
        shape = (stop - start, right - left, self.channels)
        offset = start * self._row_bytes + left * self.channels
        return read_rows(self._rows.read_into, offset, shape, stride=self._row_bytes)

    def close(self) -> None:
        """Give the memory or the file back."""
        if isinstance(self._rows, ScratchFile):
            self._rows.close()
        else:
            self._rows = np.empty((0, self.width, self.channels), np.uint8)
