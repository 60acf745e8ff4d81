"""Scratch files: temporary files that a run needs and that go with it."""

from __future__ import annotations

import tempfile
import weakref
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from video.errors import OutputError

if TYPE_CHECKING:
    from io import FileIO
    from typing import TypeAlias

    from numpy.typing import NDArray

    Data: TypeAlias = bytes | bytearray | memoryview

__all__ = ["ScratchFile", "read_all", "write_all"]

_PREFIX = "taesd-stream-"


def write_all(file: FileIO, place: int, data: memoryview) -> None:
    """Write every byte of ``data`` at byte ``place`` of an unbuffered file."""
    file.seek(place)
    while data:
        data = data[file.write(data) :]


def read_all(file: FileIO, place: int, buffer: memoryview) -> int:
    """Fill ``buffer`` from byte ``place`` on; returns how many bytes the file is too short."""
    file.seek(place)
    while buffer and (count := file.readinto(buffer)):
        buffer = buffer[count:]
    return len(buffer)


class ScratchFile:
    """A temporary file that is written and read at any place, and goes when this object does.

    It is read and written with plain calls, not through a map: what is mapped counts as memory of
    the process, and where the disk is full, writing to a map ends the process. Not to be used by
    two threads at once.

    Args:
        folder: Where it lies; None is the system's folder for temporary files (TMPDIR).
        needed_bytes: How many bytes it may come to, for the message where the disk is full; None
            if nobody knows: the message then tells how many there were to be so far.
        is_named: Whether it has a ``path`` for libraries that open files themselves. Else it has no
            name, and goes even if the process is killed.

    Raises:
        OutputError: There is no room for it, here or in ``write`` and ``add``; or it cannot be
            read.

    >>> scratch = ScratchFile()
    >>> first, second = scratch.add(b"abc"), scratch.add(b"de")
    >>> scratch.write(first + 1, b"x")
    >>> found = bytearray(3)
    >>> scratch.read_into(first, found)
    >>> bytes(found), second
    (b'axc', 3)
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        needed_bytes: int | None = None,
        is_named: bool = False,
    ) -> None:
        self._folder, self._needed_bytes = folder, needed_bytes
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self.size_bytes = 0
        self._path: Path | None = None
        try:
            if is_named:
                handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
                self._file = open(handle, "w+b", buffering=0)  # noqa: SIM115 (lives as this does)
                self._path = Path(name)
            else:
                self._file = tempfile.TemporaryFile("w+b", 0, prefix=_PREFIX, dir=folder)  # noqa: SIM115 (the same)
        except OSError as error:
            raise self._no_room(error) from error
        self._closing = weakref.finalize(self, _remove, self._file, self._path)

    @property
    def path(self) -> Path:
        """Where it is, if it is named."""
        if self._path is None:
            raise ValueError("expected a named scratch file, found one without a name")
        return self._path

    def write(self, place: int, data: Data) -> None:
        """Put every byte of ``data``, which is contiguous, at byte ``place``."""
        left = _as_bytes(data)
        end = place + len(left)
        try:
            write_all(self._file, place, left)
        except OSError as error:
            self._needed_bytes = max(self._needed_bytes or 0, end)
            raise self._no_room(error) from error
        self.size_bytes = max(self.size_bytes, end)

    def add(self, data: Data) -> int:
        """Put ``data`` where as many bytes were freed, or at the end; returns its place."""
        free = self._free[memoryview(data).nbytes]
        place = free.pop() if free else self.size_bytes
        self.write(place, data)
        return place

    def free(self, place: int, size_bytes: int) -> None:
        """Give the place of what was added back, to data of the same size."""
        self._free[size_bytes].append(place)

    def read_into(self, place: int, buffer: bytearray | memoryview) -> None:
        """Fill ``buffer``, which is contiguous, with what lies at byte ``place``."""
        missing = read_all(self._file, place, _as_bytes(buffer))
        if missing:
            raise OutputError(
                f"scratch: expected {missing} more bytes in a temporary file, found its end"
                " (another program has cut it): start again"
            )

    def close(self) -> None:
        """Give the file back; a second call does nothing."""
        self._closing()

    def map(self, place: int, size_bytes: int) -> NDArray[np.uint8]:
        """Map a part for reading, where all of it would be too much to read at once."""
        return np.memmap(self._file, np.uint8, mode="r", offset=place, shape=(size_bytes,))

    def _no_room(self, error: OSError) -> OutputError:
        needed = "" if self._needed_bytes is None else f" for {self._needed_bytes / 2**20:.1f} MiB"
        folder = self._folder or tempfile.tempdir or "the folder for temporary files"
        instead = "write to another disk" if self._folder else "set TMPDIR to a larger disk"
        return OutputError(
            f"scratch: expected room{needed} in {folder}, found"
            f" {error.strerror or error}; free some space there, or {instead}"
        )


def _as_bytes(data: Data) -> memoryview:
    view = memoryview(data)
    return view.cast("B") if view.nbytes else memoryview(b"")  # no view of zeros can be cast


def _remove(file: FileIO, path: Path | None) -> None:
    file.close()
    if path is not None:
        path.unlink(missing_ok=True)
