"""Latents in .npy and .npz files; nothing in them is ever unpickled."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from taesd_stream.errors import LatentsError
from taesd_stream.latents.formats.containers import ArrayInfo, Reading, choose_key, stored
from taesd_stream.latents.formats.in_memory import torch_dtype_of
from taesd_stream.latents.formats.mapped_array import RawStore, SpanReader, row_major
from taesd_stream.latents.formats.zip_members import ARCHIVE_ERRORS, InflatedBytes, first_line

if TYPE_CHECKING:
    from taesd_stream.latents.formats.mapped_array import FileBytes
    from taesd_stream.latents.source import StoredSource

__all__ = ["open_npy", "open_npz"]

_LOCAL_HEADER: Final = struct.Struct("<26xHH")
_MAX_HEADER_BYTES: Final = 2**16
_HEADER_READERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _NpyHeader:
    """What an .npy header says: shape, strides in elements, dtype, and where the numbers start."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        try:
            head = io.BytesIO(file.read(_MAX_HEADER_BYTES))
            version = np.lib.format.read_magic(head)
            if version not in _HEADER_READERS:
                raise ValueError(f"its version is {version}")
            shape, fortran_order, self.dtype = _HEADER_READERS[version](head)
        except ARCHIVE_ERRORS as error:
            raise LatentsError(
                f"{name}: expected an .npy header, found a broken one "
                f"({first_line(error)}): save the latents anew"
            ) from error
        if any(size < 0 for size in shape):
            raise LatentsError(f"{name}: expected sizes from 0, found shape {shape}: save it anew")
        self.shape: tuple[int, ...] = shape
        self.strides = row_major(shape[::-1])[::-1] if fortran_order else row_major(shape)
        self.length = head.tell()

    def store(self, source: SpanReader, offset: int) -> RawStore:
        """The array, when the .npy bytes start at ``offset`` of ``source``."""
        return RawStore(
            source,
            offset + self.length,
            self.shape,
            self.strides,
            torch_dtype_of(self.dtype, source.name),
            byte_order=">" if self.dtype.str.startswith(">") else "<",
        )

    def require_inside(self, nbytes: int, name: str) -> None:
        """Refuse a header that claims more than the ``nbytes`` it is a part of."""
        claimed = self.length + math.prod(self.shape) * self.dtype.itemsize
        if claimed > nbytes:
            raise LatentsError(
                f"{name}: expected {claimed} bytes for an array of shape {self.shape}, "
                f"found {nbytes}: the file is cut short, copy or save it anew"
            )

    def info(self) -> ArrayInfo:
        return ArrayInfo(
            self.shape, f"{self.dtype.name} {self.shape}", is_floating=self.dtype.kind == "f"
        )


def open_npy(file_bytes: FileBytes, reading: Reading) -> StoredSource:
    """A source for an .npy file, in either order of axes and of bytes."""
    name = file_bytes.name
    with file_bytes.open() as file:
        header = _NpyHeader(file, name)
    store = header.store(file_bytes, 0)
    return stored(store, reading.without_key(name), name=name, kind="an .npy file")


def open_npz(file_bytes: FileBytes, reading: Reading) -> StoredSource:
    """A source for one array of an .npz file; a compressed one is inflated as far as it is read."""
    name = file_bytes.name
    with file_bytes.open() as file, zipfile.ZipFile(file) as archive:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        headers = {key: _member_header(archive, info, name) for key, info in members.items()}
        key = choose_key({k: header.info() for k, header in headers.items()}, reading.key, name)
        member, header = members[key], headers[key]
        named = f"{name}[{key!r}]"
        header.require_inside(member.file_size, named)
        source: SpanReader
        if member.compress_type == zipfile.ZIP_STORED:
            source, offset, kind = file_bytes, _data_offset(file, member), "an .npz file"
        else:
            source, offset = InflatedBytes(file_bytes, member.filename, member.file_size), 0
            kind = "a compressed .npz file"
    return stored(header.store(source, offset), reading.for_entry(), name=named, kind=kind)


def _member_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> _NpyHeader:
    named = f"{name}[{member.filename!r}]"
    try:
        with archive.open(member) as file:
            return _NpyHeader(file, named)
    except ARCHIVE_ERRORS as error:
        if isinstance(error, LatentsError):
            raise
        raise LatentsError(
            f"{named}: expected an array, found an unreadable member ({first_line(error)}): "
            "save the latents anew"
        ) from error


def _data_offset(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where in the archive a stored member's own bytes begin."""
    file.seek(member.header_offset)
    name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return int(member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
