"""The bytes of a file at an address, of which only those are fetched that are asked for."""

from __future__ import annotations

import io
import tempfile
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from taesd_stream.errors import LatentsError
from taesd_stream.latents.raw_store import FileBytes
from taesd_stream.remote.addresses import name_at, scheme_of
from taesd_stream.remote.place import explained
from taesd_stream.remote.scratch import fetch_to

if TYPE_CHECKING:
    from typing import BinaryIO

    from numpy.typing import NDArray

    from taesd_stream.latents.raw_store import StoredBytes
    from taesd_stream.remote.place import Place

__all__ = ["RemoteBytes", "bytes_at"]

_BLOCK_BYTES: Final = 2**17
_MOST_BLOCKS: Final = 256
_MOST_AHEAD: Final = 32
"""Blocks that are fetched at once where one follows the other."""


def bytes_at(place: Place) -> StoredBytes:
    """The bytes of a file of a store; those of a server that sends no parts of files are copied.

    Raises:
        LatentsError: they cannot be read.
        OutputError: there is no room for the copy.
    """
    with explained(place.address, LatentsError):
        size = place.files.info(place.path).get("size")
        is_in_parts = size is not None and _sends_parts(place, size)
    return RemoteBytes(place, size) if is_in_parts else _copied_bytes(place)


def _sends_parts(place: Place, size: int) -> bool:
    if scheme_of(place.address) not in {"http", "https"} or size < 2:
        return True
    try:
        with place.files.open(place.path, "rb", cache_type="none") as file:
            file.seek(1)  # only there does fsspec find out before it has fetched all
            return len(file.read(1)) == 1
    except ValueError:  # how fsspec says that it cannot seek, or was sent the whole file
        return False


def _copied_bytes(place: Place) -> FileBytes:
    folder = tempfile.TemporaryDirectory(prefix="taesd-stream-")
    try:
        path = Path(folder.name, name_at(place.address))
        fetch_to(path, place, LatentsError)
        found = FileBytes.of(path, place.address)
    except BaseException:
        folder.cleanup()
        raise
    weakref.finalize(found, folder.cleanup)
    return found


class RemoteBytes:
    """A file of a store as it was when this was made; as ``StoredBytes``, for several threads.

    Up to 32 MiB of what was read last stay in memory: headers are read again and again, and latents
    one after the other.

    Args:
        place: Where it is.
        size: Of it, in bytes.

    Raises:
        LatentsError: it cannot be read.
    """

    most_gap_bytes = _BLOCK_BYTES

    def __init__(self, place: Place, size: int) -> None:
        self.name, self.size = place.address, size
        self.suffix = Path(name_at(place.address)).suffix.lower()
        self._place = place
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._ahead = 0, 1
        # S3 is asked for the very content that was opened; others only say whether it still is.
        self._is_asked_for = scheme_of(self.name) == "s3"
        with explained(self.name, LatentsError):
            self._stamp = place.stamp()
            self._file = place.files.open(place.path, "rb", cache_type="none")

    def open(self) -> BinaryIO:
        return io.BufferedReader(_Reading(self))

    def head(self, count: int) -> bytes:
        with self.open() as file:
            return file.read(count)

    def span(self, start: int, stop: int) -> NDArray[np.uint8]:
        if stop - start >= _BLOCK_BYTES:
            return np.frombuffer(self.fetch(start, stop), np.uint8)
        found = bytearray()
        while start + len(found) < stop:
            found += self.part_at(start + len(found), stop - start - len(found))
        return np.frombuffer(bytes(found), np.uint8)

    def close(self) -> None:
        """Let go of what was read; connections are the library's."""
        with self._lock:
            self._blocks.clear()

    def fetch(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``, from the store.

        Raises:
            LatentsError: they cannot be had, or the file has changed.
        """
        if stop <= start:
            return b""
        with explained(self.name, LatentsError):
            try:
                # What fsspec's own files read by: it moves no place, so that others can meanwhile.
                found: bytes = self._file._fetch_range(start, stop)
                is_same = self._is_asked_for or self._place.stamp() == self._stamp
            except OSError as error:
                if type(error).__name__ != "FileExpired":  # so s3fs calls what has changed
                    raise
                is_same = False
        if not is_same or len(found) != stop - start:
            raise LatentsError(
                f"{self.name}: the file changed while it was being read: open it again"
            )
        return found

    def part_at(self, place: int, most: int) -> bytes:
        """Some bytes from ``place`` on, ``most`` at the most; none only where the file ends."""
        if place >= self.size or most <= 0:
            return b""
        number, within = divmod(place, _BLOCK_BYTES)
        with self._lock:
            block = self._blocks.get(number)
            if block is not None:
                self._blocks.move_to_end(number)
        if block is None:
            block = self._fetched_block(number)
        return block[within : within + most]

    def _fetched_block(self, number: int) -> bytes:
        """A block from the store, with the more after it the longer blocks were read in order."""
        with self._lock:
            self._ahead = min(2 * self._ahead, _MOST_AHEAD) if number == self._next else 1
            self._next = number + self._ahead
            stop = min(self._next * _BLOCK_BYTES, self.size)
        found = self.fetch(number * _BLOCK_BYTES, stop)
        with self._lock:
            for offset in reversed(range(0, len(found), _BLOCK_BYTES)):
                block = number + offset // _BLOCK_BYTES
                self._blocks[block] = found[offset : offset + _BLOCK_BYTES]
            while len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        return found[:_BLOCK_BYTES]


class _Reading(io.RawIOBase):
    """A file of a store, opened for reading."""

    def __init__(self, source: RemoteBytes) -> None:
        self._source, self._at = source, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise ValueError(f"expected a place in the file, found {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # bytes, always
        found = self._source.part_at(self._at, len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
