"""The writer of a picture's rows: it counts, checks and names; a row encoder makes the file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from video.errors import InputError, OutputError, OutputExistsError, TaesdStreamError
from video.large.row_buffer import CHANNELS, check_strip
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import explain_os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from video.large.formats import RowPicture, UnfinishedOutput

__all__ = ["RowEncoder", "RowWriter"]

_STRIP_SHARE = 16


class RowEncoder(Protocol):
    """One format: makes a complete output of rows that were checked."""

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take the next rows, (n, width, 3); they are the caller's again when it returns."""

    def finish(self) -> None:
        """Complete the output; every row has been added."""

    def stop(self) -> None:
        """Let go of everything, finished or not: threads, files, memory."""


class RowWriter:
    """A context manager that takes the rows of one picture, from the top.

    When the block ends well, the picture is at ``path``, complete. When it ends with an exception,
    KeyboardInterrupt included, nothing is left: half a pyramid is of no use. Only a complete
    picture whose name was taken meanwhile is kept, as ``kept_part``.

    Args:
        picture: what is written.
        open_encoder: makes the encoder that writes to the path it is given.
        overwrite: whether what is at the picture's path may be replaced.
        part_folder: where the unfinished output lies; None is the folder of the picture's path.
        notes: for whoever asked for the picture, a line each.
    """

    def __init__(
        self,
        picture: RowPicture,
        open_encoder: Callable[[Path, RowPicture], RowEncoder],
        *,
        overwrite: bool,
        part_folder: Path | None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.path = picture.path
        self.size = (picture.width, picture.height)
        self.rows_written = 0
        self.kept_part: Path | None = None
        self._notes = notes
        self._overwrite = overwrite
        # In strips of about this size, so that an encoder need not hold copies of a large one.
        strip_bytes = picture.memory_bytes // _STRIP_SHARE
        self._strip_rows = max(1, strip_bytes // (picture.width * CHANNELS))
        self._closed = False
        self._failure: BaseException | None = None
        self._part: UnfinishedOutput | None = None
        self._encoder: RowEncoder | None = None
        try:
            with deferred_interrupt(), self._faults():
                self._part = picture.format.reserve(picture.path, part_folder)
                self._encoder = open_encoder(self._part.path, picture)
        except BaseException:
            self._abort()
            raise

    @property
    def part_path(self) -> Path | None:
        """Where the unfinished output is; None once there is no such thing."""
        return self._part.path if self._part else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for whoever asked for the picture, a line each."""
        return self._notes

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add the next rows, from the top: uint8, (n, width, 3), RGB, with n at least 1.

        The array is not kept. When this fails for any reason but wrong rows, the work is over and
        nothing is left.

        Raises:
            InputError: if shape or dtype is another, there are more rows than the height, or
                the writer is closed.
            OutputError: if they cannot be written.
        """
        if self._closed or self._encoder is None:
            raise InputError(f"'{self.path}' is closed; no row can follow")
        width, height = self.size
        check_strip(rows, width=width, height=height, before=self.rows_written, path=self.path)
        if not len(rows):
            raise InputError(f"expected rows for '{self.path}'; found shape {rows.shape}")
        try:
            with self._faults():
                for start in range(0, len(rows), self._strip_rows):
                    self._encoder.add(rows[start : start + self._strip_rows])
        except BaseException as error:
            self._failure = error
            self._abort()
            raise
        self.rows_written += len(rows)

    def close(self) -> None:
        """Complete the output and give it its name; a second call does nothing.

        Raises:
            InputError: if rows are missing; nothing is left.
            OutputExistsError: if another took the name; ours is then kept as ``kept_part``.
            OutputError: if finishing fails, or a ``write`` has failed; nothing is left.
        """
        if self._failure is not None:
            failure, self._failure = self._failure, None
            reason = str(failure) or type(failure).__name__
            raise OutputError(f"'{self.path}' was given up: {reason}") from failure
        if self._closed or self._encoder is None or self._part is None:
            return
        if self.rows_written != self.size[1]:
            self._abort()
            raise InputError(
                f"expected {self.size[1]} rows for '{self.path}'; found {self.rows_written}"
            )
        try:
            with self._faults():
                self._encoder.finish()
        except BaseException:
            self._abort()
            raise
        with deferred_interrupt():
            self._closed = True
            self._encoder.stop()
            self._publish(self._part)

    def _publish(self, part: UnfinishedOutput) -> None:
        try:
            part.publish(overwrite=self._overwrite)
        except OutputExistsError:
            self._keep(part)
            raise
        except OutputError:
            self._part = None
            raise
        except OSError as error:
            self._keep(part)
            failure = explain_os_error(self.path, error)
            raise OutputError(f"{failure}; the picture is '{part.path}'") from error
        self._part = None

    def _keep(self, part: UnfinishedOutput) -> None:
        self.kept_part = part.path
        self._notes = (*self._notes, f"kept: '{part.path}' (complete)")

    def _abort(self) -> None:
        """Give everything up: stop the work, and remove what there is of it."""
        with deferred_interrupt():
            self._closed = True
            try:
                if self._encoder is not None:
                    self._encoder.stop()
            finally:
                if self._part is not None:
                    self._part.discard()
                    self._part = None

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn the system's errors and the libraries' into ours."""
        try:
            yield
        except TaesdStreamError:
            raise
        except OSError as error:
            raise explain_os_error(self.path, error) from error
        except (ValueError, RuntimeError) as error:
            raise OutputError(f"writing '{self.path}' failed: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if error is None:
            self.close()
        elif not self._closed:
            self._abort()
