"""Parts of large pictures in files, without reading all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from video.errors import VideoInputError
from video.images import to_uint8
from video.large.blocks import Blocks
from video.large.errors import load_library
from video.large.tiff_blocks import TiffBlocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["WindowReader", "open_windows"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"
_CACHE_BYTES = 32 << 20
_KINDS = ".tif, OME-Zarr, Zarr (H, W, 3) or (3, H, W), or .npy (H, W, 3)"


class _Pixels(Protocol):
    """What a kind of file has to offer."""

    height: int
    width: int

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]: ...


class WindowReader:
    """A picture whose parts can be read. A context manager; for one thread at a time.

    Attributes:
        path: the file or folder.
        height, width: of the picture, in pixels.
    """

    def __init__(
        self, path: Path, watched: Path, pixels: _Pixels, close: Callable[[], None]
    ) -> None:
        self.path = path
        self.height, self.width = pixels.height, pixels.width
        self._pixels, self._close = pixels, close
        self._watched, self._stamp = watched, _stamp_of(watched)

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The pixels of some rows and columns: (h, w, 3) RGB bytes, a fresh array.

        16 bits are rounded to 8, grey becomes RGB, and an alpha channel is left out.

        Raises:
            VideoInputError: if they do not lie within the picture, the file changed meanwhile, or
                what it holds there cannot be decoded.
        """
        for part, size in ((rows, self.height), (columns, self.width)):
            if part.step not in (None, 1) or not 0 <= part.start < part.stop <= size:
                raise VideoInputError(
                    f"expected a window within the {self.width}x{self.height} pixels of"
                    f" '{self.path}'; found rows {rows.start}:{rows.stop} and columns"
                    f" {columns.start}:{columns.stop}"
                )
        if _stamp_of(self._watched) != self._stamp:
            raise VideoInputError(f"'{self.path}' changed while it was being read; open it again")
        try:
            return self._pixels.read(rows, columns)
        except VideoInputError:
            raise
        except Exception as error:  # every codec has exceptions of its own
            raise VideoInputError(
                f"cannot decode '{self.path}' at rows {rows.start}:{rows.stop}, columns"
                f" {columns.start}:{columns.stop}: {_first_line(error)}; is it complete?"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_windows(path: str | PathLike[str]) -> WindowReader:
    """Open a picture of any size, to read parts of it.

    TIFF and BigTIFF in tiles or strips (the first page), OME-Zarr (the full size of the first
    picture), plain Zarr arrays, and .npy arrays, of 8 or 16 bits.

    Raises:
        VideoInputError: if it is none of these.
        MissingLibraryError: if the library for it is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.ones((4, 6, 3), np.uint8))
        ...     with open_windows(f"{folder}/a.npy") as reader:
        ...         reader.width, reader.read(slice(1, 3), slice(0, 6)).shape
        (6, (2, 6, 3))
    """
    source = Path(path)
    try:
        if source.is_dir():
            return _open_zarr(source)
        with source.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise VideoInputError(f"cannot read '{source}': {error.strerror}") from error
    if head.startswith(_TIFF):
        tiff = TiffBlocks(source, cache_bytes=_CACHE_BYTES)
        return WindowReader(source, source, tiff.blocks, tiff.close)
    if head.startswith(_NPY):
        return WindowReader(source, source, _Npy(source), _nothing)
    raise VideoInputError(f"expected {_KINDS} at '{source}'; found another kind of file")


class _Npy:
    """An array in a file, mapped while it is read from."""

    def __init__(self, path: Path) -> None:
        self._path = path
        shape = self._mapped().shape
        self.height, self.width = shape[:2]

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        return _rgb(self._mapped()[rows, columns])

    def _mapped(self) -> NDArray[Any]:
        try:
            array: NDArray[Any] = np.load(self._path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise VideoInputError(f"cannot read '{self._path}': {_first_line(error)}") from error
        if array.ndim == 4 and array.shape[0] == 1:
            array = array[0]
        _check(array, array.shape, self._path)
        return array


def _open_zarr(path: Path) -> WindowReader:
    zarr = load_library("zarr", ".zarr")
    try:
        node = zarr.open(store=str(path), mode="r")
        if not hasattr(node, "shape"):
            node = node[_full_size(node, path)]
    except VideoInputError:
        raise
    except Exception as error:  # whatever broken metadata make the library stumble over
        raise VideoInputError(f"cannot read '{path}' as Zarr: {_first_line(error)}") from error
    planar = node.ndim >= 3 and node.shape[-1] not in (3, 4)
    lead = node.ndim - (3 if node.ndim >= 3 else 2)
    first = (0,) * lead
    if any(size != 1 for size in node.shape[:lead]):
        raise _not_a_picture(node.shape, node.dtype, path)
    shape = node.shape[lead:]
    _check(node, (*shape[1:], shape[0]) if planar else shape, path)
    height, width = shape[1:] if planar else shape[:2]
    chunks = node.chunks[lead:]
    high, wide = chunks[1:] if planar else chunks[:2]

    def decode(row: int, column: int) -> NDArray[np.uint8]:
        y = slice(row * high, min(height, (row + 1) * high))
        x = slice(column * wide, min(width, (column + 1) * wide))
        if planar:
            return _rgb(np.moveaxis(np.asarray(node[(*first, slice(None), y, x)]), 0, -1))
        return _rgb(np.asarray(node[(*first, y, x)]))

    blocks = Blocks(
        height, width, block_height=high, block_width=wide, decode=decode, cache_bytes=_CACHE_BYTES
    )
    watched = next(name for name in ("zarr.json", ".zarray", ".zgroup") if (path / name).exists())
    return WindowReader(path, path / watched, blocks, _nothing)


def _full_size(group: Any, path: Path) -> str:
    """The name of the largest array of the first picture of an OME-Zarr group."""
    attributes = dict(group.attrs)
    images = attributes.get("ome", attributes).get("multiscales")
    try:
        name = str(images[0]["datasets"][0]["path"])
    except (TypeError, LookupError) as error:
        raise VideoInputError(
            f"expected an OME-Zarr picture or a Zarr array at '{path}'; found a group without"
            f" multiscales that holds {', '.join(sorted(group)) or 'nothing'}"
        ) from error
    return name


def _check(array: Any, shape: tuple[int, ...], path: Path) -> None:
    """Refuse what is no array of pixels, (H, W), (H, W, 3) or (H, W, 4) in 8 or 16 bits."""
    is_picture = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if not is_picture or array.dtype not in (np.uint8, np.uint16) or 0 in shape:
        raise _not_a_picture(array.shape, array.dtype, path)


def _not_a_picture(shape: tuple[int, ...], dtype: object, path: Path) -> VideoInputError:
    return VideoInputError(
        f"expected a picture of 8 or 16 bits, (H, W, 3), at '{path}'; found {dtype} {tuple(shape)}"
    )


def _rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w) or (h, w, c) to (h, w, 3), 8 bits, a fresh array."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    array = to_uint8(pixels)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3].copy()


def _stamp_of(path: Path) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise VideoInputError(f"cannot read '{path}': {error.strerror}") from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120]


def _nothing() -> None:
    """Nothing is open between two reads."""
