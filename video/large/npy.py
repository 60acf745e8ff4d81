"""Rows as numpy keeps them: raw .npy, which can be read while it grows, and taken up again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from video.closing import Closing
from video.errors import InputError
from video.large.row_buffer import CHANNELS, check_strip, fill_from, read_rows
from video.npy_header import npy_header, read_npy_header
from video.safe_files.scratch import write_all

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["NpyEncoder", "RowFile"]


class RowFile(Closing):
    """A .npy file of shape (1, height, width, channels), uint8, that is filled from the top.

    Its header speaks of all rows from the start, so it can be loaded once ``rows`` is ``height``;
    before, the missing rows are missing from the file. ``create`` starts one, and the constructor
    takes it up after its last whole row. Errors of the system come out as OSError.

    Attributes:
        path: of the file.
        width, height: of the whole picture, in pixels.
        channels: of a pixel.
        rows: the number of rows that have been written.

    Raises:
        InputError: if it is no file of that size.
        OSError: if it cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RowFile.create(f"{folder}/a.npy", width=2, height=3) as file:
        ...         file.write(np.ones((2, 2, 3), np.uint8))
        ...         file.sync()
        ...     with RowFile(f"{folder}/a.npy", width=2, height=3) as file:
        ...         file.rows, int(file.read(1, 2).sum())
        (2, 6)
    """

    def __init__(
        self, path: str | PathLike[str], *, width: int, height: int, channels: int = CHANNELS
    ) -> None:
        self.path = Path(path)
        self.width, self.height, self.channels = width, height, channels
        self._row_bytes = width * channels
        self._file = self.path.open("r+b", buffering=0)
        try:
            self._start = self._end_of_header()
            self.truncate_to(min(height, self._stored))
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def create(
        cls, path: str | PathLike[str], *, width: int, height: int, channels: int = CHANNELS
    ) -> Self:
        """Start a file without rows at ``path``; what was there is lost.

        Raises:
            InputError: if a size is less than 1.
            OSError: if it cannot be made.
        """
        if min(width, height) < 1:
            raise InputError(f"expected a size of at least 1x1; found {width}x{height}")
        Path(path).write_bytes(npy_header((1, height, width, channels), np.dtype(np.uint8)))
        return cls(path, width=width, height=height, channels=channels)

    def _end_of_header(self) -> int:
        header = read_npy_header(self._file, f"'{self.path}'")
        expected = (1, self.height, self.width, self.channels)
        if header.shape != expected or header.dtype != np.uint8 or header.is_fortran:
            raise InputError(
                f"expected rows of a uint8 array {expected} in '{self.path}'; found {header.dtype}"
                f" {header.shape}"
            )
        return header.length

    @property
    def _stored(self) -> int:
        """The number of whole rows in the file."""
        return (os.fstat(self._file.fileno()).st_size - self._start) // self._row_bytes

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add rows: uint8, (n, width, channels).

        Raises:
            InputError: if shape or dtype is another, or they are more than fit the height.
            OSError: if they cannot be written; ``rows`` is then what it was.
        """
        check_strip(
            rows,
            width=self.width,
            height=self.height,
            before=self.rows,
            path=self.path,
            channels=self.channels,
        )
        place = self._start + self.rows * self._row_bytes
        write_all(self._file, place, np.ascontiguousarray(rows).reshape(-1).data)
        self.rows += len(rows)

    def read(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Rows ``start`` to ``stop``: (stop - start, width, channels), a copy.

        Raises:
            InputError: if there are no such rows.
        """
        if not 0 <= start <= stop <= self.rows:
            raise InputError(
                f"expected rows within 0 to {self.rows} of '{self.path}'; found {start} to {stop}"
            )
        offset = self._start + start * self._row_bytes
        shape = (stop - start, self.width, self.channels)
        return read_rows(fill_from(self._file), offset, shape, stride=self._row_bytes)

    def sync(self) -> None:
        """Wait until every row written so far would outlast a power failure."""
        os.fsync(self._file.fileno())

    def truncate_to(self, rows: int) -> None:
        """Forget every row from number ``rows`` on.

        Raises:
            InputError: if there are fewer.
        """
        if not 0 <= rows <= self._stored:
            raise InputError(
                f"expected at least {rows} rows in '{self.path}'; found {self._stored}"
            )
        self._file.truncate(self._start + rows * self._row_bytes)
        self.rows = rows

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


class NpyEncoder:
    """Writes a RowFile."""

    def __init__(self, path: Path, picture: RowPicture) -> None:
        self._file = RowFile.create(
            path, width=picture.width, height=picture.height, channels=picture.channels
        )

    def add(self, rows: NDArray[np.uint8]) -> None:
        self._file.write(rows)

    def finish(self) -> None:
        self._file.close()

    def stop(self) -> None:
        self._file.close()
