"""Latents in files that ``torch.save`` wrote, read without running anything that is in them."""

from __future__ import annotations

import io
import sys
import zipfile
from typing import IO, TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.array_choice import short
from taesd_stream.latents.checks import require_memory
from taesd_stream.latents.formats.pickle_data import PickleDataError, read_pickle
from taesd_stream.latents.formats.pickle_words import Words, storage_dtype
from taesd_stream.latents.formats.pickled_files import load_storage, refuse_pickle
from taesd_stream.latents.formats.zip_archives import data_offset
from taesd_stream.latents.placed_arrays import Storage
from taesd_stream.latents.tensors import open_content
from taesd_stream.latents.wrappers import Record

if TYPE_CHECKING:
    from taesd_stream.latents.raw_store import StoredBytes
    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import StoredSource

__all__ = ["open_torch_zip"]

_PICKLE: Final = "data.pkl"


def open_torch_zip(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
    """A source for a zip file of ``torch.save``; the numbers are left where they are.

    Raises:
        LatentsError: it is broken, holds no latents, or more than data; nothing of it is run.
    """
    name = file_bytes.name
    with file_bytes.open() as file, zipfile.ZipFile(file) as archive:
        _require_plain(archive, name)
        with refuse_pickle(name):
            content = _Archive(archive, file, file_bytes).content
    return open_content(content, options, name=name, kind="a torch file")


class _Archive:
    """The content of a zip file of torch, whose members are the pickle and the storages.

    Attributes:
        content: what was saved.
    """

    def __init__(self, archive: zipfile.ZipFile, file: IO[bytes], source: StoredBytes) -> None:
        self._file = file
        self._source = source
        self._storages: dict[object, Storage | Record] = {}
        self._members = {member.filename: member for member in archive.infolist()}
        pickled = next(name for name in self._members if name.rpartition("/")[2] == _PICKLE)
        self._folder = pickled.removesuffix(_PICKLE)
        words = Words(self._storage_of, load_storage, source.name)
        self.content = read_pickle(io.BytesIO(archive.read(pickled)), words)

    def _storage_of(self, identity: object) -> Storage | Record:
        if not (isinstance(identity, tuple) and len(identity) == 5):
            raise PickleDataError("a pickle of what lies elsewhere")
        _, kind, key, _, count = identity
        if key not in self._storages:
            self._storages[key] = self._found(kind, key, count)
        return self._storages[key]

    def _found(self, kind: object, key: object, count: int) -> Storage | Record:
        dtype = storage_dtype(kind)
        if dtype is None:
            return Record(f"storage of {kind}")
        member = self._members.get(f"{self._folder}data/{key}")
        if member is None:
            return Storage(dtype, 0)
        nbytes = min(member.file_size, count * dtype.itemsize)
        return Storage(dtype, nbytes, self._source, data_offset(self._file, member))


def _require_plain(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse what torch.save does not write and what offsets into the file would be wrong for."""
    members = {member.filename.rpartition("/")[2]: member for member in archive.infolist()}
    packed = [m.filename for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise LatentsError(
            f"{name}: expected an uncompressed archive as torch.save writes it, "
            f"found {short(packed[0])} compressed: save the latents with torch.save"
        )
    if "constants.pkl" in members:
        raise LatentsError(
            f"{name}: expected tensors, found a TorchScript program, which is never "
            "run: save the latents with torch.save"
        )
    require_memory(members[_PICKLE].file_size, f"the objects pickled in {name}")
    order = sys.byteorder.encode()
    if "byteorder" in members:
        with archive.open(members["byteorder"]) as record:
            order = record.read(16)
    if order != sys.byteorder.encode():
        raise LatentsError(
            f"{name}: expected {sys.byteorder}-endian numbers, found {order!r}: "
            "save the latents as .npy or .safetensors"
        )
