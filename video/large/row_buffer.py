"""Rows of pixels in memory, or in a scratch file where they would take too much of it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np

from video.errors import InputError
from video.safe_files.scratch import ScratchFile, read_all, write_all

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["CHANNELS", "RowBuffer", "check_strip", "read_rows", "write_rows"]

CHANNELS = 3


def check_strip(rows: object, *, width: int, height: int, before: int, path: Path) -> None:
    """Refuse what cannot follow ``before`` rows of a picture: not uint8 (n, width, 3), or too many.

    Raises:
        InputError: if it is so.
    """
    if not isinstance(rows, np.ndarray):
        raise InputError(
            f"expected a numpy array (n, {width}, 3) of uint8; found {type(rows).__name__}"
        )
    if rows.ndim != 3 or rows.shape[1:] != (width, CHANNELS) or rows.dtype != np.uint8:
        raise InputError(
            f"expected rows of shape (n, {width}, 3) and dtype uint8;"
            f" found shape {rows.shape} and dtype {rows.dtype}"
        )
    if before + len(rows) > height:
        raise InputError(f"expected {height} rows for '{path}'; found {before + len(rows)}")


def write_rows(file: FileIO, offset: int, rows: NDArray[np.uint8]) -> None:
    """Write every byte of ``rows`` at ``offset`` of an unbuffered file."""
    write_all(file, offset, np.ascontiguousarray(rows).reshape(-1).data)


def read_rows(
    file: FileIO, offset: int, shape: tuple[int, int, int], *, stride: int | None = None
) -> NDArray[np.uint8]:
    """Read an array of ``shape`` whose rows begin at ``offset`` of an unbuffered file.

    They are ``stride`` bytes apart, or else one behind the other.

    Raises:
        OSError: if the file ends before.
    """
    rows = np.empty(shape, np.uint8)
    if stride in (None, shape[1] * shape[2]):
        _fill(file, offset, rows.reshape(-1))
        return rows
    for index, row in enumerate(rows):
        _fill(file, offset + index * (stride or 0), row.reshape(-1))
    return rows


def _fill(file: FileIO, offset: int, flat: NDArray[np.uint8]) -> None:
    if read_all(file, offset, flat.data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class RowBuffer:
    """Room for ``capacity`` rows of ``width`` RGB pixels.

    In memory if they take no more than ``memory_bytes``; else in a scratch file in ``folder``.

    Example:
        >>> buffer = RowBuffer(4, 2, memory_bytes=0, folder=None)
        >>> buffer.write(1, np.full((2, 2, 3), 7, np.uint8))
        >>> buffer.in_file, buffer.read(2, 3, left=1, right=2).tolist()
        (True, [[[7, 7, 7]]])
        >>> buffer.close()
    """

    def __init__(
        self, capacity: int, width: int, *, memory_bytes: int, folder: Path | None
    ) -> None:
        self.width = width
        self._memory: NDArray[np.uint8] | None = None
        self._file: ScratchFile | None = None
        needed_bytes = capacity * width * CHANNELS
        if needed_bytes <= memory_bytes:
            self._memory = np.empty((capacity, width, CHANNELS), np.uint8)
        else:
            self._file = ScratchFile(folder=folder, needed_bytes=needed_bytes)

    @property
    def in_file(self) -> bool:
        """Whether the rows lie in a file."""
        return self._file is not None

    def write(self, start: int, rows: NDArray[np.uint8]) -> None:
        """Put ``rows``, (n, width, 3), where row ``start`` is."""
        if self._memory is not None:
            self._memory[start : start + len(rows)] = rows
        elif self._file is not None:
            self._file.write(start * self.width * CHANNELS, np.ascontiguousarray(rows).data)

    def read(self, start: int, stop: int, *, left: int, right: int) -> NDArray[np.uint8]:
        """Columns left to right of rows start to stop; good until the next write."""
        if self._memory is not None:
            return self._memory[start:stop, left:right]
        shape = (stop - start, right - left, CHANNELS)
        if self._file is None:
            return np.empty((0, *shape[1:]), np.uint8)
        rows = np.empty(shape, np.uint8)
        for index, piece in enumerate([rows] if right - left == self.width else rows, start=start):
            self._file.read_into((index * self.width + left) * CHANNELS, piece.data)
        return rows

    def close(self) -> None:
        """Give the memory or the file back."""
        self._memory = None
        if self._file is not None:
            self._file.close()
            self._file = None
