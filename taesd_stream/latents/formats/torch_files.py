"""Latents in files that ``torch.save`` wrote; only tensors are ever unpickled from them."""

from __future__ import annotations

import contextlib
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import refuse_broken, require_memory
from taesd_stream.latents.raw_store import RawStore, require_stored_in_full
from taesd_stream.latents.tensors import TensorStore, open_content

if TYPE_CHECKING:
    from taesd_stream.latents.raw_store import FileBytes
    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import Store, StoredSource

__all__ = ["open_legacy_torch", "open_torch_zip"]


_META_LEAVES_DATA: Final = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 11)
"""Whether ``map_location="meta"`` reads no numbers; before, it read them all and dropped them."""


class _NoOffsetError(Exception):
    """This torch does not tell where in the file a tensor's numbers are."""


def open_torch_zip(file_bytes: FileBytes, options: ReadOptions) -> StoredSource:
    """A source for a zip file of ``torch.save``; the numbers are left where they are.

    The pickle in it is read with ``weights_only=True`` onto the ``meta`` device, which yields
    shapes, strides and offsets. Where torch is too old for that, the file is mapped by torch:
    privately and writably as a whole, which Linux refuses for files larger than the memory.
    """
    name, kind = file_bytes.name, "a torch file"
    _require_plain_archive(file_bytes)
    if _META_LEAVES_DATA:
        content = _load(file_bytes, map_location="meta", mmap=False)
        with contextlib.suppress(_NoOffsetError):
            store = partial(_store_in_file, file_bytes)
            return open_content(content, options, name=name, kind=kind, tensor_store=store)
    return _open_loaded(file_bytes, options, kind=kind, mmap=True)


def open_legacy_torch(file_bytes: FileBytes, options: ReadOptions) -> StoredSource:
    """A source for a file of torch before 1.6, which has to be read whole.

    Raises:
        LatentsError: the file is larger than the free memory, or holds other things than tensors.
    """
    name = file_bytes.name
    require_memory(
        file_bytes.size, f"{name} is in torch's old format, which is read whole: its latents"
    )
    return _open_loaded(file_bytes, options, kind="an old torch file, read whole", mmap=False)


def _open_loaded(
    file_bytes: FileBytes, options: ReadOptions, *, kind: str, mmap: bool
) -> StoredSource:
    """A source for tensors that torch loads, or maps."""
    content = _load(file_bytes, map_location="cpu", mmap=mmap)
    store = partial(_store_loaded, file_bytes)
    return open_content(content, options, name=file_bytes.name, kind=kind, tensor_store=store)


def _load(file_bytes: FileBytes, *, map_location: str, mmap: bool) -> object:
    name, remedy = file_bytes.name, "save the latents as one tensor"
    found = f"{name}: expected tensors saved by torch.save, found what torch refuses to load safely"
    with refuse_broken(found, remedy, Exception):  # a hostile pickle makes it stumble anywhere
        return torch.load(file_bytes.path, map_location=map_location, weights_only=True, mmap=mmap)


def _require_plain_archive(file_bytes: FileBytes) -> None:
    """Refuse what torch.save does not write and what offsets into the file would be wrong for."""
    with file_bytes.open() as file, zipfile.ZipFile(file) as archive:
        members = {member.filename.rpartition("/")[2]: member for member in archive.infolist()}
        packed = [m.filename for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise LatentsError(
                f"{file_bytes.name}: expected an uncompressed archive as torch.save writes it, "
                f"found {packed[0]!r} compressed: save the latents with torch.save"
            )
        if "constants.pkl" in members:
            raise LatentsError(
                f"{file_bytes.name}: expected tensors, found a TorchScript program, which is never "
                "run: save the latents with torch.save"
            )
        require_memory(members["data.pkl"].file_size, f"the objects pickled in {file_bytes.name}")
        order = sys.byteorder.encode()
        if "byteorder" in members:
            with archive.open(members["byteorder"]) as record:
                order = record.read(16)
    if order != sys.byteorder.encode():
        raise LatentsError(
            f"{file_bytes.name}: expected {sys.byteorder}-endian numbers, found {order!r}: "
            "save the latents as .npy or .safetensors"
        )


def _store_loaded(file_bytes: FileBytes, tensor: torch.Tensor) -> Store:
    """A tensor that holds its numbers, or maps them."""
    store = TensorStore(tensor, file_bytes.name)
    require_stored_in_full(store.shape, store.dtype, file_bytes)
    return store


def _store_in_file(file_bytes: FileBytes, tensor: torch.Tensor) -> Store:
    """The place in the file of a tensor that was loaded onto the meta device."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_neg():
        return TensorStore(tensor, file_bytes.name)
    offset = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    if offset is None:
        raise _NoOffsetError
    return RawStore(
        file_bytes,
        offset + tensor.storage_offset() * tensor.dtype.itemsize,
        tuple(tensor.shape),
        tensor.stride(),
        tensor.dtype,
    )
