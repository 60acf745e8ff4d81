"""The writer of a picture's rows: it counts, checks and names; a row encoder makes the file."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Protocol

from video.errors import InputError, OutputError
from video.large.row_buffer import check_strip
from video.part_sink import PartSink
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import write_faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["RowEncoder", "RowWriter"]

_STRIP_SHARE = 16


class RowEncoder(Protocol):
    """One format: makes a complete output of rows that were checked."""

    def add(self, rows: NDArray[np.uint8]) -> None:
        """Take the next rows, (n, width, channels); they are the caller's again when it returns."""

    def finish(self) -> None:
        """Complete the output; every row has been added."""

    def stop(self) -> None:
        """Let go of everything, finished or not: threads, files, memory."""


class RowWriter(PartSink):
    """A context manager that takes the rows of one picture, from the top: a sink of one frame.

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
        super().__init__(picture.path, overwrite=overwrite)
        self.size = (picture.width, picture.height)
        self._channels = picture.channels
        self.rows_written = 0
        self._notes += notes
        # In strips of about this size, so that an encoder need not hold copies of a large one.
        strip_bytes = picture.memory_bytes // _STRIP_SHARE
        self._strip_rows = max(1, strip_bytes // (picture.width * picture.channels))
        self._failure: BaseException | None = None
        self._undoing = ExitStack()
        try:
            with deferred_interrupt(), self._faults():
                self._part = picture.format.reserve(picture.path, part_folder)
                self._undoing.callback(self._discard)
                self._encoder = open_encoder(self._part.path, picture)
                self._undoing.callback(self._encoder.stop)
        except BaseException:
            self._abort()
            raise

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add the next rows, from the top: uint8, (n, width, 3), RGB, with n at least 1; or 4
        channels, RGBA, for a picture with alpha.

        The array is not kept. When this fails for any reason but wrong rows, the work is over and
        nothing is left.

        Raises:
            InputError: if shape or dtype is another, there are more rows than the height, or
                the writer is closed.
            OutputError: if they cannot be written.
        """
        if self._closed or self._failure is not None:
            raise InputError(f"'{self.path}' is closed; no row can follow")
        width, height = self.size
        check_strip(
            rows,
            width=width,
            height=height,
            before=self.rows_written,
            path=self.path,
            channels=self._channels,
        )
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
        self.frames_written = self.rows_written // height

    def close(self) -> None:
        """Complete the output and give it its name; a second call does nothing.

        Raises:
            InputError: if rows are missing; nothing is left.
            OutputExistsError: if another took the name; ours is then kept as ``kept_part``.
            OutputError: if finishing fails, or a ``write`` has failed; nothing is left.
        """
        if self._closed:
            return
        try:
            self._check_complete()
            with self._faults():
                self._encoder.finish()
        except BaseException as error:
            self._leave(error)
            raise
        with deferred_interrupt():
            self._closed = True
            self._encoder.stop()
            self._publish("picture", "complete")

    def _check_complete(self) -> None:
        if self._failure is not None:
            reason = str(self._failure) or type(self._failure).__name__
            raise OutputError(f"'{self.path}' was given up: {reason}") from self._failure
        if self.rows_written != self.size[1]:
            raise InputError(
                f"expected {self.size[1]} rows for '{self.path}'; found {self.rows_written}"
            )

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            self.close()
        else:
            self._abort()
            self._closed = True

    def _abort(self) -> None:
        """Give everything up: stop the work, and remove what there is of it."""
        with deferred_interrupt():
            self._undoing.close()

    def _faults(self) -> AbstractContextManager[None]:
        return write_faults(self.path, f"writing '{self.path}'")
