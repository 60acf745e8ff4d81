"""Latents in Zarr folders, versions 2 and 3, of which only the chunks that are asked for are read.

What is known before reading comes from the folder's own metadata file; the numbers come from the
zarr library, an optional extra that is imported when the first such folder is opened.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from taesd_stream.errors import LatentsError, MissingExtraError
from taesd_stream.latents.checks import require_floating, require_memory
from taesd_stream.latents.formats.containers import ArrayInfo, Reading, choose_key, stored
from taesd_stream.latents.formats.mapped_array import FileBytes
from taesd_stream.latents.formats.zip_members import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from taesd_stream.latents.source import StoredSource

__all__ = ["is_zarr", "open_zarr"]

_VERSIONS: Final = {"zarr.json": 3, ".zarray": 2, ".zgroup": 2}
_MAX_METADATA_BYTES: Final = 2**26
_DTYPES: Final = {
    **dict.fromkeys(("float16", "<f2", ">f2"), torch.float16),
    **dict.fromkeys(("float32", "<f4", ">f4"), torch.float32),
    **dict.fromkeys(("float64", "<f8", ">f8"), torch.float64),
}
"""What the versions of the format call the dtypes that latents can have."""

_SAFE_CODECS: Final = {
    2: (
        *("blosc", "zstd", "gzip", "zlib", "bz2", "lzma", "lz4"),
        *("shuffle", "bitround", "crc32", "crc32c", "adler32", "fletcher32"),
    ),
    3: ("bytes", "transpose", "sharding_indexed", "blosc", "zstd", "gzip", "crc32c"),
}
"""Codecs that make numbers of bytes and do nothing else: others run pickles, or are plug-ins."""


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder that holds the metadata of a Zarr array or group.

    >>> is_zarr(Path("/"))
    False
    """
    return path.is_dir() and any((path / name).is_file() for name in _VERSIONS)


def open_zarr(folder: Path, reading: Reading) -> StoredSource:
    """A source for a Zarr array, or for one of the arrays that a group holds.

    Raises:
        LatentsError: the metadata are broken, or the array cannot be latents or be read safely.
        MissingExtraError: zarr is not installed.
    """
    node, named = _Node.of(folder, str(folder)), str(folder)
    if node.is_array:
        reading = reading.without_key(named)
    else:
        entries = {path.name: path for path in sorted(folder.iterdir()) if is_zarr(path)}
        infos = {key: _info_of(path) for key, path in entries.items()}
        key = choose_key(infos, reading.key, named)
        reading, named = reading.for_entry(), f"{named}[{key!r}]"
        node = _Node.of(entries[key], named)
    store = _ZarrStore(node)
    kind = f"a Zarr v{node.version} array in chunks of {store.chunks}"
    return stored(store, reading, name=named, kind=kind)


@dataclass(frozen=True)
class _Node:
    """An array or a group: its folder, the file of its metadata, and what that says."""

    folder: Path
    file: FileBytes
    version: int
    fields: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, name: str) -> _Node:
        file_name = next((each for each in _VERSIONS if (folder / each).is_file()), ".zarray")
        file = FileBytes.of(folder / file_name, name)
        text = file.head(_MAX_METADATA_BYTES + 1)
        try:
            if len(text) > _MAX_METADATA_BYTES:
                raise ValueError(f"{file.size} bytes of it")
            fields = json.loads(text)
            if not isinstance(fields, dict):
                raise ValueError(f"a {type(fields).__name__}")
            if file_name == "zarr.json" and fields.get("node_type") not in {"array", "group"}:
                raise ValueError(f"the node type {fields.get('node_type')!r:.50}")
        except (ValueError, RecursionError) as error:
            raise _broken_metadata(file, error) from error
        return cls(folder, file, _VERSIONS[file_name], fields)

    @property
    def is_array(self) -> bool:
        return self.file.path.name == ".zarray" or self.fields.get("node_type") == "array"

    @property
    def dtype(self) -> str:
        """As the metadata have it, in one line; what is not one of the plain names is no number."""
        return _in_one_line(self.fields.get("dtype" if self.version == 2 else "data_type"))

    @property
    def codecs(self) -> Iterator[str]:
        """The names of all that the chunks are packed with, the codecs within shards too."""
        if self.version == 2:
            packed = (self.fields.get("compressor"), *_listed(self.fields.get("filters")))
            return (str(_field(codec, "id")) for codec in packed if codec is not None)
        return _nested_codecs(self.fields)


class _ZarrStore:
    """A Zarr array. What changes its metadata while it is being read is an error."""

    def __init__(self, node: _Node) -> None:
        name = node.file.name
        if node.dtype not in _DTYPES:
            require_floating(node.dtype, name)
        foreign = [codec for codec in node.codecs if codec not in _SAFE_CODECS[node.version]]
        if foreign:
            raise LatentsError(
                f"{name}: expected chunks packed by {', '.join(_SAFE_CODECS[node.version])}, found "
                f"the codec {foreign[0]!r:.50}: write the array anew with one of these"
            )
        zarr = _import_zarr(name)
        try:
            array: Any = zarr.open_array(store=str(node.folder), mode="r", zarr_format=node.version)
            self.shape = tuple(int(size) for size in array.shape)
            self.chunks = tuple(int(size) for size in array.chunks)
        except Exception as error:  # whatever hostile metadata make the library stumble over
            raise _broken_metadata(node.file, error) from error
        node.file.open().close()  # the library has read what was checked here
        self.dtype = _DTYPES[node.dtype]
        require_memory(math.prod(self.chunks) * self.dtype.itemsize, f"one chunk of {name}")
        self._array = array
        self._metadata = node.file

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        if out.numel() == 0:
            return
        try:
            np.copyto(out.numpy(), self._array[index])
        except Exception as error:  # every codec has exceptions of its own
            self._metadata.open().close()
            raise LatentsError(
                f"{self._metadata.name}: expected chunks that can be unpacked, found a broken one "
                f"({first_line(error)}): copy or save the latents anew"
            ) from error
        # Chunks that somebody has removed were read as empty ones.
        self._metadata.open().close()

    def close(self) -> None:
        """Nothing to let go of: files are opened for each read."""


def _info_of(folder: Path) -> ArrayInfo:
    """What a group's listing says of an entry, which may be a broken one."""
    try:
        node = _Node.of(folder, str(folder))
    except LatentsError:
        return ArrayInfo(None, "unreadable metadata", is_floating=False)
    if not node.is_array:
        return ArrayInfo(None, "a group", is_floating=False)
    shape = tuple(size for size in _listed(node.fields.get("shape")) if isinstance(size, int))
    description = f"{node.dtype} {_in_one_line(shape)}"
    return ArrayInfo(shape, description, is_floating=node.dtype in _DTYPES)


def _nested_codecs(fields: object) -> Iterator[str]:
    for key in ("codecs", "index_codecs"):
        for codec in _listed(_field(fields, key)):
            yield codec if isinstance(codec, str) else str(_field(codec, "name"))
            yield from _nested_codecs(_field(codec, "configuration"))


def _field(fields: object, key: str) -> object:
    return fields.get(key) if isinstance(fields, dict) else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _in_one_line(value: object) -> str:
    return " ".join(str(value).split())[:50]


def _broken_metadata(file: FileBytes, error: BaseException) -> LatentsError:
    return LatentsError(
        f"{file.name}: expected the metadata of a Zarr array in {file.path.name}, found broken "
        f"ones ({first_line(error)}): copy or save the latents anew"
    )


def _import_zarr(name: str) -> ModuleType:
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(
            f"{name}: Zarr folders need zarr, which is not installed; "
            "run: pip install 'taesd-stream[gigapixel]'"
        ) from error
    return zarr
