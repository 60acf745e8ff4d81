"""Zarr arrays and groups, versions 2 and 3, of which only the chunks that are asked for are read.

No folder is trusted. Its own metadata files are read and checked first; the zarr library, an
optional extra, opens only arrays of plain numbers, in chunks of a bounded size, packed by codecs
that make numbers of bytes and do nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from video.errors import InputError, first_line
from video.large.libraries import load_library
from video.large.pixels import MOST_BLOCK_BYTES
from video.large.zarr_folders import VERSIONS, LocalZarrFolder, Watch, ZarrFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ZarrArray", "ZarrNode"]

_ATTRIBUTES: Final = ".zattrs"
_MOST_METADATA_BYTES: Final = 2**26
_DTYPES: Final = {
    name: np.dtype(name)
    for name in (
        *("|u1", "<u2", ">u2", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"),
        *("uint8", "uint16", "float16", "float32", "float64"),
    )
}
"""The dtypes that are read, as either version of the format calls them."""

_SAFE_CODECS: Final = {
    2: (
        *("blosc", "zstd", "gzip", "zlib", "bz2", "lzma", "lz4"),
        *("shuffle", "bitround", "crc32", "crc32c", "adler32", "fletcher32"),
    ),
    3: ("bytes", "transpose", "sharding_indexed", "blosc", "zstd", "gzip", "crc32c"),
}
"""Codecs that make numbers of bytes and do nothing else: others run pickles, or are plug-ins."""

_INDEX_ENTRY_BYTES: Final = 16
"""Bytes of a shard's index for each of its parts; it is read as a whole."""


@dataclass(frozen=True)
class ZarrNode:
    """An array or a group as its metadata describe it, before the zarr library opens it.

    Attributes:
        folder: where it is.
        name: what errors call it.
        version: of the format, 2 or 3.
        fields: the metadata, of which nothing is known but that they are a JSON object.
        is_array: whether it is an array; else it is a group.
        files: the names of the files of the metadata.
        watched: these files, which must not change.
    """

    folder: ZarrFolder
    name: str
    version: int
    fields: dict[str, Any]
    is_array: bool
    files: tuple[str, ...]
    watched: Watch

    @classmethod
    def of(cls, place: Path | ZarrFolder, name: str | None = None) -> Self:
        """Read the metadata in a folder.

        Raises:
            InputError: there are none, or they are broken.
        """
        folder = LocalZarrFolder(place) if isinstance(place, Path) else place
        name = name or folder.name
        file = next((each for each in VERSIONS if folder.holds(each)), None)
        if file is None:
            raise InputError(
                f"{name}: cannot read it as Zarr: expected one of {', '.join(VERSIONS)} in it, "
                "found none: check the path"
            )
        has_attributes = file != "zarr.json" and folder.holds(_ATTRIBUTES)
        files = (file, _ATTRIBUTES) if has_attributes else (file,)
        watched = folder.watch(name, files)
        fields = _read_json(folder, file, name)
        kind = fields.get("node_type") if file == "zarr.json" else file.removeprefix(".z")
        if kind not in {"array", "group"}:
            raise _broken(name, file, ValueError(f"the node type {kind!r:.50}"))
        return cls(folder, name, VERSIONS[file], fields, kind == "array", files, watched)

    @property
    def members(self) -> list[str]:
        """The names of the arrays and groups that lie in this group's folder."""
        return self.folder.members()

    def member(self, path: str, name: str | None = None) -> ZarrNode:
        """An array or group below this group.

        Raises:
            InputError: it lies elsewhere, is not there, or its metadata are broken.
        """
        folder = self.folder.below(path)
        if folder is None:
            raise InputError(
                f"{self.name}: expected its arrays within the folder, found {path!r:.50}: "
                "open that one itself"
            )
        return ZarrNode.of(folder, name or folder.name)

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes that users and conventions such as OME-Zarr give it.

        Raises:
            InputError: they are broken.
        """
        if self.version == 2:
            has_them = _ATTRIBUTES in self.files
            return _read_json(self.folder, _ATTRIBUTES, self.name) if has_them else {}
        attributes = self.fields.get("attributes", {})
        return attributes if isinstance(attributes, dict) else {}

    @property
    def dtype_name(self) -> str:
        """The dtype as the metadata have it, in one line."""
        dtype = self.fields.get("dtype" if self.version == 2 else "data_type")
        return " ".join(str(dtype).split())[:50]

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The dtype; None where it is none of those that are read."""
        return _DTYPES.get(self.dtype_name)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The sizes of the axes; None where the metadata have none that make sense."""
        return _sizes(self.fields.get("shape"), least=0)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """The sizes of what is unpacked at once, which of a shard is one of its parts; or None."""
        codecs = _listed(self.fields.get("codecs"))
        if len(codecs) == 1 and _field(codecs[0], "name") == "sharding_indexed":
            return _sizes(_field(codecs[0], "configuration", "chunk_shape"))
        return self._grid

    def open(self) -> ZarrArray:
        """Open the array, once all that is known of it is found to be harmless.

        Raises:
            InputError: its dtype, its codecs or its chunks are none that are read, or the metadata
                make no sense.
            MissingExtraError: zarr is not installed.
        """
        self._check()
        zarr = load_library("zarr", ".zarr")
        try:
            array = zarr.open_array(store=self.folder.store(), mode="r", zarr_format=self.version)
            if (array.shape, array.chunks) != (self.shape, self.chunks):
                raise ValueError(f"sizes read as {array.shape} in {array.chunks}")
        except Exception as error:  # whatever hostile metadata make the library stumble over
            raise _broken(self.name, self.files[0], error) from error
        self.watched.check()  # the library has read what was checked here
        return ZarrArray(array, self.watched)

    @property
    def _grid(self) -> tuple[int, ...] | None:
        if self.version == 2:
            return _sizes(self.fields.get("chunks"))
        return _sizes(_field(self.fields, "chunk_grid", "configuration", "chunk_shape"))

    @property
    def _codecs(self) -> Iterator[str]:
        """The names of all that the chunks are packed with, the codecs within shards too."""
        if self.version == 3:
            return _nested_codecs(self.fields)
        packed = (self.fields.get("compressor"), *_listed(self.fields.get("filters")))
        return (str(_field(codec, "id")) for codec in packed if codec is not None)

    def _check(self) -> None:
        if self.dtype is None:
            raise self._refused("numbers of 8 or 16 bits, or floating-point ones", self.dtype_name)
        safe = _SAFE_CODECS[self.version]
        foreign = next((codec for codec in self._codecs if codec not in safe), None)
        if foreign is not None:
            raise self._refused(f"chunks packed by {', '.join(safe)}", f"the codec {foreign!r:.50}")
        shape, chunks, grid = self.shape, self.chunks, self._grid
        if not (shape and chunks and grid and len(shape) == len(chunks) == len(grid)):
            error = ValueError("sizes that make no sense")
            raise _broken(self.name, self.files[0], error)
        size, most = math.prod(chunks) * self.dtype.itemsize, MOST_BLOCK_BYTES
        if size > most:
            sizes = f"{'x'.join(map(str, chunks))} of {self.dtype.itemsize} bytes"
            found = f"one chunk of {sizes}, {size / 2**30:.1f} GiB"
            raise self._refused(f"chunks of up to {most >> 20} MiB", found)
        parts = math.prod(-(-size // part) for size, part in zip(grid, chunks, strict=True))
        if parts * _INDEX_ENTRY_BYTES > most:
            raise self._refused(f"shards with an index of up to {most >> 20} MiB", f"{parts} parts")

    def _refused(self, expected: str, found: str) -> InputError:
        return InputError(
            f"{self.name}: expected {expected}, found {found}: write the array anew as expected"
        )


class ZarrArray:
    """An open array, of axes ``shape`` in ``chunks``; both count numbers.

    What changes its metadata while it is being read is an error.
    """

    def __init__(self, array: Any, watched: Watch) -> None:
        self.shape: tuple[int, ...] = array.shape
        self.chunks: tuple[int, ...] = array.chunks
        self._array, self._watched = array, watched

    def read(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        """The numbers of a region, one int or slice per axis; chunks that are missing are filled.

        Raises:
            InputError: a chunk is broken, or the array changed.
        """
        try:
            numbers = np.asarray(self._array[index])
        except Exception as error:  # every codec has exceptions of its own
            self._watched.check()
            raise InputError(
                f"{self._watched.name}: expected chunks that can be unpacked, found a broken one "
                f"({first_line(error)}): copy or save it anew"
            ) from error
        # Chunks that somebody has removed were read as empty ones.
        self._watched.check()
        return numbers


def _read_json(folder: ZarrFolder, file: str, name: str) -> dict[str, Any]:
    try:
        fields = json.loads(folder.read(file, _MOST_METADATA_BYTES))
        if not isinstance(fields, dict):
            raise ValueError(f"a {type(fields).__name__}")
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(name, file, error) from error
    return fields


def _broken(name: str, file: str, error: BaseException) -> InputError:
    return InputError(
        f"{name}: expected the metadata of a Zarr array in {file}, found broken ones "
        f"({first_line(error)}): copy or save it anew"
    )


def _nested_codecs(fields: object) -> Iterator[str]:
    for key in ("codecs", "index_codecs"):
        for codec in _listed(_field(fields, key)):
            yield codec if isinstance(codec, str) else str(_field(codec, "name"))
            yield from _nested_codecs(_field(codec, "configuration"))


def _sizes(value: object, *, least: int = 1) -> tuple[int, ...] | None:
    sizes = _listed(value)
    whole = [size for size in sizes if isinstance(size, int) and size >= least]
    return tuple(whole) if whole and len(whole) == len(sizes) else None


def _field(fields: object, *keys: str) -> object:
    """The value below ``keys`` of nested objects; None where one of them is no object."""
    for key in keys:
        fields = fields.get(key) if isinstance(fields, dict) else None
    return fields


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
