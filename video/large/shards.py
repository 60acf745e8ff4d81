"""The rows of a picture in parts that different processes may write: shards of a Zarr array."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from video.errors import MissingExtraError
from video.large.libraries import load_library
from video.safe_files.durability import sync_file, sync_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RowShards"]

_CHUNK = 256
_WIDE_CHUNK = 4096


class RowShards:
    """Parts of a picture, from top to bottom, each of them one file.

    Parts have up to as many rows as the first; what a part lacks is not written.

    Args:
        path: Where it is: a folder of this machine, or the address of one in a store, such as
            ``s3://bucket/rows.zarr``, which fsspec reaches by its own settings.
        array: (parts, rows, width, channels) of bytes.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "rows.zarr")
        ...     RowShards.create(path, parts=3, rows=5, width=8, channels=3)
        ...     RowShards.open(path).write(2, np.full((4, 8, 3), 7, np.uint8))
        ...     RowShards.open(path).read(2, 1, 3).sum()
        np.uint64(336)
    """

    def __init__(self, path: Path | str, array: Any) -> None:
        self._path, self._array = path, array

    @staticmethod
    def create(path: Path | str, *, parts: int, rows: int, width: int, channels: int) -> None:
        """Make an empty one, in the place of whatever is there.

        Raises:
            MissingExtraError: zarr is not installed, or what it reaches a store with.
        """
        zarr = load_library("zarr", "a picture that is made by several machines")
        high = min(rows, _CHUNK)
        whole = -(-rows // high) * high
        wide = min(width, _WIDE_CHUNK)
        broad = -(-width // wide) * wide
        zarr.create_array(
            store=_store_of(path),
            shape=(parts, whole, width, channels),
            shards=(1, whole, broad, channels),
            chunks=(1, high, wide, channels),
            dtype="uint8",
            compressors=zarr.codecs.ZstdCodec(),
            zarr_format=3,
            overwrite=True,
        )

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """One that ``create`` has made.

        Raises:
            MissingExtraError: zarr is not installed, or what it reaches a store with.
        """
        zarr = load_library("zarr", "a picture that is made by several machines")
        array = zarr.open_array(store=_store_of(path), mode="r+", zarr_format=3)
        return cls(path, array)

    @staticmethod
    def is_there(path: Path | str) -> bool:
        """Whether there is one."""
        if isinstance(path, Path):
            return path.is_dir()
        files, at = _in_store(path)
        return bool(files.exists(posixpath.join(at, "zarr.json")))

    @staticmethod
    def remove(address: str) -> None:
        """Remove one of a store, with all its parts."""
        files, at = _in_store(address)
        files.rm(at, recursive=True)

    def write(self, part: int, rows: NDArray[np.uint8]) -> None:
        """Write all rows of a part, (n, width, channels), so that they outlast a power failure."""
        self._array[part, : len(rows)] = rows
        if not isinstance(self._path, Path):
            return  # a store answers when it has them for good
        file = self._path / _file_of(part)
        if file.is_file():  # one that is all black is none, and read as such
            sync_file(file)
            for folder in file.parents[:4]:
                sync_folder(folder)

    def holds(self, part: int) -> bool:
        """Whether a part was written, and is not all black."""
        if isinstance(self._path, Path):
            return (self._path / _file_of(part)).is_file()
        files, path = _in_store(self._path)
        return bool(files.exists(posixpath.join(path, _file_of(part))))

    def read(self, part: int, start: int, stop: int) -> NDArray[np.uint8]:
        """Some rows of a part."""
        rows: NDArray[np.uint8] = self._array[part, start:stop]
        return rows


def _file_of(part: int) -> str:
    return f"c/{part}/0/0/0"


def _load_fsspec() -> Any:
    return load_library("fsspec.core", "a picture whose rows are in a store")


def _in_store(address: str) -> tuple[Any, str]:
    """The file system of a store, and a path there."""
    files, path = _load_fsspec().url_to_fs(address, use_listings_cache=False)
    return files, path


def _store_of(path: Path | str) -> Any:
    """What zarr takes for a place.

    Raises:
        MissingExtraError: It is an address, and what reaches its store is not installed.
    """
    if isinstance(path, Path):
        return str(path)
    _load_fsspec()
    storage = load_library("zarr.storage", "a picture whose rows are in a store")
    try:
        return storage.FsspecStore.from_url(path, storage_options={"use_listings_cache": False})
    except ImportError as error:  # fsspec imports what it reaches a store with
        raise MissingExtraError(f"{path}: {error}; pip install 'taesd-stream[remote]'") from error
