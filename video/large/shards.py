"""The rows of a picture in parts that different processes may write: shards of a Zarr array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from video.large.libraries import load_library
from video.safe_files.durability import sync_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["RowShards"]

_CHUNK = 256
_WIDE_CHUNK = 4096


class RowShards:
    """Parts of a picture, from top to bottom, each of them one file.

    Parts have up to as many rows as the first; what a part lacks is not written.

    Args:
        path: Where it is.
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

    def __init__(self, path: Path, array: Any) -> None:
        self._path, self._array = path, array

    @staticmethod
    def create(path: Path, *, parts: int, rows: int, width: int, channels: int) -> None:
        """Make an empty one, in the place of whatever is there.

        Raises:
            MissingExtraError: zarr is not installed.
        """
        zarr = load_library("zarr", "a picture that is made by several machines")
        high = min(rows, _CHUNK)
        whole = -(-rows // high) * high
        wide = min(width, _WIDE_CHUNK)
        broad = -(-width // wide) * wide
        zarr.create_array(
            store=str(path),
            shape=(parts, whole, width, channels),
            shards=(1, whole, broad, channels),
            chunks=(1, high, wide, channels),
            dtype="uint8",
            compressors=zarr.codecs.ZstdCodec(),
            zarr_format=3,
            overwrite=True,
        )

    @classmethod
    def open(cls, path: Path) -> Self:
        """One that ``create`` has made.

        Raises:
            MissingExtraError: zarr is not installed.
        """
        zarr = load_library("zarr", "a picture that is made by several machines")
        array = zarr.open_array(store=str(path), mode="r+", zarr_format=3)
        return cls(path, array)

    def write(self, part: int, rows: NDArray[np.uint8]) -> None:
        """Write all rows of a part, (n, width, channels), so that they outlast a power failure."""
        self._array[part, : len(rows)] = rows
        file = self._file(part)
        if file.is_file():  # one that is all black is none, and read as such
            sync_file(file)
            for folder in file.parents[:4]:
                sync_folder(folder)

    def holds(self, part: int) -> bool:
        """Whether a part was written, and is not all black."""
        return self._file(part).is_file()

    def _file(self, part: int) -> Path:
        return self._path / "c" / str(part) / "0" / "0" / "0"

    def read(self, part: int, start: int, stop: int) -> NDArray[np.uint8]:
        """Some rows of a part."""
        rows: NDArray[np.uint8] = self._array[part, start:stop]
        return rows
