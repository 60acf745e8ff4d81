"""Compressed members of zip archives, whose numbers can be read in any order."""

from __future__ import annotations

import lzma
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from contextlib import ExitStack, closing
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import refuse_broken
from video.safe_files.scratch import ScratchFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taesd_stream.latents.raw_store import StoredBytes

__all__ = ["ARCHIVE_ERRORS", "InflatedBytes", "data_offset"]

ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    struct.error,
    ValueError,
    RuntimeError,  # an encrypted member, and, as NotImplementedError, an unknown compression
)
"""The exceptions of a broken archive or a broken array header."""

_PIECE_BYTES: Final = 2**20
_LOCAL_HEADER: Final = struct.Struct("<26xHH")


class InflatedBytes:
    """A compressed member of an archive, written to a scratch file as far as it is asked for.

    So its numbers can be read in any order, each is inflated once, and memory stays small.
    """

    def __init__(self, archive: StoredBytes, member: str, size: int) -> None:
        self.name = f"{archive.name}[{member!r}]"
        self.size = size
        self.most_gap_bytes = None
        self._archive = archive
        self._member = member
        self._files: tuple[IO[bytes], ScratchFile] | None = None
        self._closing: weakref.finalize[..., InflatedBytes] | None = None

    def span(self, start: int, stop: int) -> NDArray[np.uint8]:
        compressed, scratch = self._files or self._open()
        while scratch.size_bytes < stop:
            scratch.add(self._next_piece(compressed, scratch.size_bytes))
        return scratch.map(start, stop - start)

    def _next_piece(self, compressed: IO[bytes], inflated: int) -> bytes:
        remedy = "save the latents anew, uncompressed"
        with refuse_broken(f"{self.name}: cannot be inflated", remedy, *ARCHIVE_ERRORS):
            piece = compressed.read(_PIECE_BYTES)
            if not piece:
                raise EOFError(f"it ends after {inflated} of {self.size} bytes")
            return piece

    def close(self) -> None:
        if self._closing is not None:
            self._closing()

    def _open(self) -> tuple[IO[bytes], ScratchFile]:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if self.size > free:
            raise LatentsError(
                f"{self.name}: it inflates to {self.size / 2**30:.1f} GiB and "
                f"{tempfile.gettempdir()} has {free / 2**30:.1f} GiB free: save the latents "
                "uncompressed, or set TMPDIR to a larger disk"
            )
        # They stay open until this object is closed or gone.
        files = ExitStack()
        self._closing = weakref.finalize(self, files.close)
        raw = files.enter_context(self._archive.open())
        compressed = files.enter_context(zipfile.ZipFile(raw).open(self._member))  # noqa: SIM115
        scratch = files.enter_context(closing(ScratchFile(needed_bytes=self.size)))
        self._files = compressed, scratch
        return self._files


def data_offset(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """The offset in the archive at which a stored member's own bytes begin."""
    file.seek(member.header_offset)
    name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return int(member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
