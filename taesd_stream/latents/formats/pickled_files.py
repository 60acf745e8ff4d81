"""Latents in pickles and in files that ``torch.save`` wrote before version 1.6.

Such a file of torch is a row of pickles, then the numbers; they are left where they are.
"""

from __future__ import annotations

import io
import struct
from typing import IO, TYPE_CHECKING, Final

from taesd_stream.latents.checks import refuse_broken, require_memory
from taesd_stream.latents.formats.pickle_data import PickleDataError, read_pickle
from taesd_stream.latents.formats.pickle_words import Words, storage_dtype
from taesd_stream.latents.placed_arrays import MemoryBytes, Storage
from taesd_stream.latents.tensors import open_content
from taesd_stream.latents.wrappers import Record

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from taesd_stream.latents.raw_store import SpanReader, StoredBytes
    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import StoredSource

__all__ = ["load_storage", "open_pickled", "refuse_pickle"]

# The number that an old file begins with, pickled in any protocol.
_TORCH_MAGIC: Final = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_COUNT: Final = struct.Struct("<q")


def open_pickled(file_bytes: StoredBytes, options: ReadOptions, *, offset: int = 0) -> StoredSource:
    """A source for what a pickle, or an old file of torch, holds from ``offset`` bytes on.

    Raises:
        LatentsError: it is broken, holds no latents, or more than data; nothing of it is run.
    """
    name = file_bytes.name
    with refuse_pickle(name), file_bytes.open() as file:
        file.seek(offset)
        is_torch = _is_torch(file)
        if is_torch:
            content = _OldTorchFile(file, file_bytes).content
        else:
            require_memory(file_bytes.size, f"{name} is a pickle, which is read whole: its objects")
            content = read_pickle(file, Words(None, load_storage, name))
    kind = "an old torch file" if is_torch else "a pickle"
    return open_content(content, options, name=name, kind=kind)


def refuse_pickle(name: str) -> AbstractContextManager[None]:
    """Turn what is found in a pickle, if that is no data, into a LatentsError."""
    found = f"{name}: expected tensors and arrays in a pickle, found something else"
    remedy = "save the latents as one tensor, or as .safetensors"
    return refuse_broken(found, remedy, Exception)  # a broken file makes it stumble anywhere


def _is_torch(file: IO[bytes]) -> bool:
    start = file.tell()
    is_torch = _TORCH_MAGIC in file.read(32)
    file.seek(start)
    return is_torch


def load_storage(file: io.BytesIO) -> object:
    """The numbers that a pickled tensor has with it, as a file of torch of their own."""
    if not _is_torch(file):
        raise PickleDataError("a pickled tensor whose numbers are not as torch saves them")
    source = MemoryBytes(file.getvalue(), "a pickled tensor")
    return _OldTorchFile(file, source).content


class _OldTorchFile:
    """The content of a file of torch before version 1.6, read from where ``file`` is.

    Attributes:
        content: what was saved; its storages are in ``source``, which is the same file.
    """

    def __init__(self, file: IO[bytes], source: SpanReader) -> None:
        self._source = source
        self._storages: dict[object, Storage] = {}
        self._views: list[tuple[Storage, Storage, int]] = []
        words = Words(self._storage_of, None, source.name)
        for _ in range(3):  # the magic number, the protocol, and the system's figures
            read_pickle(file, words)
        self.content = read_pickle(file, words)
        keys = read_pickle(file, words)
        for key in keys if isinstance(keys, list) else []:
            self._place(key, file)
        for view, base, start in self._views:
            view.source, view.offset = base.source, (base.offset or 0) + start

    def _storage_of(self, identity: object) -> Storage | Record:
        if not (isinstance(identity, tuple) and len(identity) in (5, 6)):
            raise PickleDataError("a pickle of what lies elsewhere")
        _, kind, key, _, count, *view = identity
        dtype = storage_dtype(kind)
        if dtype is None:
            return Record(f"storage of {kind}")
        whole = self._storages.setdefault(key, Storage(dtype, count * dtype.itemsize))
        if not view or view[0] is None:
            return whole
        _, start, size = view[0]
        part = Storage(dtype, size * dtype.itemsize)
        self._views.append((part, whole, start * dtype.itemsize))
        return part

    def _place(self, key: object, file: IO[bytes]) -> None:
        """Note where a storage is, and go to where the next one begins."""
        storage = self._storages.get(key)
        if storage is None:
            raise PickleDataError("numbers of no tensor")
        (count,) = _COUNT.unpack(file.read(_COUNT.size))
        if count * storage.dtype.itemsize != storage.nbytes:
            raise PickleDataError("a tensor with too many or too few numbers")
        storage.source, storage.offset = self._source, file.tell()
        file.seek(storage.nbytes, io.SEEK_CUR)
