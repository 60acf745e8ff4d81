"""Latents in .npy and .npz files; what is pickled in them is read as data, and never run."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from taesd_stream.latents.array_choice import ArrayInfo, choose_key, short
from taesd_stream.latents.checks import as_latents_errors, refuse_broken
from taesd_stream.latents.formats.pickled_files import open_pickled
from taesd_stream.latents.formats.zip_archives import ARCHIVE_ERRORS, InflatedBytes, data_offset
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.raw_store import RawStore, SpanReader, row_major
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.tensors import torch_dtype_of
from video.npy_header import NpyHeader, read_npy_header

if TYPE_CHECKING:
    from taesd_stream.latents.raw_store import StoredBytes
    from taesd_stream.latents.source import StoredSource

__all__ = ["open_npy", "open_npz"]


def open_npy(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
    """A source for an .npy file, in either order of axes and of bytes."""
    name = file_bytes.name
    with file_bytes.open() as file, as_latents_errors():
        header = read_npy_header(file, name)
    if header.dtype == object:
        return open_pickled(file_bytes, options, offset=header.length)
    store = _store(header, file_bytes, 0)
    return open_store(store, options.without_key(name), name=name, kind="an .npy file")


def open_npz(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
    """A source for one array of an .npz file; a compressed one is inflated as far as it is read."""
    name = file_bytes.name
    with file_bytes.open() as file, zipfile.ZipFile(file) as archive:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        headers = {key: _member_header(archive, info, name) for key, info in members.items()}
        infos = {
            key: ArrayInfo(header.dtype.name, header.shape, header.dtype.kind == "f")
            for key, header in headers.items()
        }
        key = choose_key(infos, options, name)
        member, header = members[key], headers[key]
        named = f"{name}[{short(key)}]"
        with as_latents_errors():
            header.require_inside(member.file_size, named)
        source: SpanReader
        if member.compress_type == zipfile.ZIP_STORED:
            source, offset, kind = file_bytes, data_offset(file, member), "an .npz file"
        else:
            source, offset = InflatedBytes(file_bytes, member.filename, member.file_size), 0
            kind = "a compressed .npz file"
    return open_store(_store(header, source, offset), options, name=named, kind=kind)


def _member_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> NpyHeader:
    named = f"{name}[{short(member.filename)}]"
    found = f"{named}: expected an array, found an unreadable member"
    with (
        refuse_broken(found, "save the latents anew", *ARCHIVE_ERRORS),
        as_latents_errors(),
        archive.open(member) as file,
    ):
        return read_npy_header(file, named)


def _store(header: NpyHeader, source: SpanReader, offset: int) -> RawStore:
    """The array whose .npy bytes begin at ``offset`` of ``source``."""
    shape = header.shape
    return RawStore(
        source,
        offset + header.length,
        shape,
        row_major(shape[::-1])[::-1] if header.is_fortran else row_major(shape),
        torch_dtype_of(header.dtype, source.name),
        byte_order=">" if header.dtype.str.startswith(">") else "<",
    )
