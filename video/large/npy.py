"""Rows as numpy keeps them: raw .npy, which can be read while it grows, and taken up again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from video.closing import Closing
from video.errors import InputError
from video.large.row_buffer import CHANNELS, check_strip, read_rows, write_rows
from video.npy_header import npy_header, read_npy_header

if TYPE_CHECKING:
    from io import FileIO
    from os import PathLike

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["NpyEncoder", "RowFile"]


class RowFile(Closing):
    """A .npy file of shape (1, height, width, 3), uint8, that is filled from the top.

    Its header speaks of all rows from the start, so it can be loaded once ``rows`` is ``height``;
    before, the missing rows are missing from the file. Made by ``create`` or ``reopen``; errors of
    the system come out as OSError.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RowFile.create(f"{folder}/a.npy", width=2, height=3) as file:
        ...         file.write(np.ones((2, 2, 3), np.uint8))
        ...         file.sync()
        ...     with RowFile.reopen(f"{folder}/a.npy", width=2, height=3) as file:
        ...         file.rows, int(file.read(1, 2).sum())
        (2, 6)
    """

    def __init__(self, path: Path, file: FileIO, start: int, *, width: int, height: int) -> None:
        """Take over ``file``, open without a buffer, whose rows begin at byte ``start``."""
        self.path = path
        self.width = width
        self.height = height
        self._file = file
        self._start = start
        self._row_bytes = width * CHANNELS
        self._rows = 0

    @classmethod
    def create(cls, path: str | PathLike[str], *, width: int, height: int) -> Self:
        """Start a file without rows at ``path``; what was there is lost.

        Raises:
            InputError: if a size is less than 1.
            OSError: if it cannot be made.
        """
        if min(width, height) < 1:
            raise InputError(f"expected a size of at least 1x1; found {width}x{height}")
        shape = (1, height, width, CHANNELS)
        with contextlib.ExitStack() as closing:
            file = closing.enter_context(Path(path).open("w+b", buffering=0))
            start = file.write(npy_header(shape, np.dtype(np.uint8)))
            rows = cls(Path(path), file, start, width=width, height=height)
            closing.pop_all()
        return rows

    @classmethod
    def reopen(cls, path: str | PathLike[str], *, width: int, height: int) -> Self:
        """Take up a file that ``create`` started, after its last whole row.

        Raises:
            InputError: if it is none of that size.
            OSError: if it cannot be opened.
        """
        with contextlib.ExitStack() as closing:
            file = closing.enter_context(Path(path).open("r+b", buffering=0))
            header = read_npy_header(file, f"'{path}'")
            expected = (1, height, width, CHANNELS)
            if header.shape != expected or header.dtype != np.uint8 or header.is_fortran:
                raise InputError(
                    f"expected rows of a uint8 array {expected} in '{path}'; found {header.dtype}"
                    f" {header.shape}"
                )
            rows = cls(Path(path), file, header.length, width=width, height=height)
            stored = os.fstat(file.fileno()).st_size - rows._start
            rows.truncate_to(min(height, max(0, stored) // rows._row_bytes))
            closing.pop_all()
        return rows

    @property
    def rows(self) -> int:
        """The number of rows that have been written."""
        return self._rows

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add rows: uint8, (n, width, 3).

        Raises:
            InputError: if shape or dtype is another, or they are more than fit the height.
            OSError: if they cannot be written; ``rows`` is then what it was.
        """
        check_strip(rows, width=self.width, height=self.height, before=self._rows, path=self.path)
        write_rows(self._file, self._start + self._rows * self._row_bytes, rows)
        self._rows += len(rows)

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows ``start`` to ``stop``: (stop - start, width, 3), a copy.

        Raises:
            InputError: if there are no such rows.
        """
        if not 0 <= start <= stop <= self._rows:
            raise InputError(
                f"expected rows within 0 to {self._rows} of '{self.path}'; found {start} to {stop}"
            )
        offset = self._start + start * self._row_bytes
        return read_rows(self._file, offset, (stop - start, self.width, CHANNELS))

    def sync(self) -> None:
        """Wait until every row written so far would outlast a power failure."""
        os.fsync(self._file.fileno())

    def truncate_to(self, rows: int) -> None:
        """Forget every row from number ``rows`` on.

        Raises:
            InputError: if there are fewer.
        """
        stored = os.fstat(self._file.fileno()).st_size - self._start
        if not 0 <= rows * self._row_bytes <= stored:
            raise InputError(
                f"expected at least {rows} rows in '{self.path}'; found {stored // self._row_bytes}"
            )
        self._file.truncate(self._start + rows * self._row_bytes)
        self._rows = rows

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


class NpyEncoder:
    """Writes a RowFile."""

    def __init__(self, path: Path, picture: RowPicture) -> None:
        self._file = RowFile.create(path, width=picture.width, height=picture.height)

    def add(self, rows: NDArray[np.uint8]) -> None:
        self._file.write(rows)

    def finish(self) -> None:
        self._file.close()

    def stop(self) -> None:
        self._file.close()
