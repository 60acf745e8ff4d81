"""Windows of pictures larger than memory: only what a window needs is read."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.lib import format as npy_format

from video.errors import InputError, TaesdStreamError
from video.large.reading_blocks import (
    RawLayout,
    first_line,
    is_picture_type,
    open_tiff,
    open_zarr,
    to_rgb,
)
from video.large.row_buffer import read_rows

if TYPE_CHECKING:
    from io import FileIO
    from os import PathLike
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["CACHE_BYTES", "WindowReader", "open_windows"]

CACHE_BYTES = 32 << 20
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"
_KINDS = (
    "a TIFF, an OME-Zarr, a Zarr array (H, W), (H, W, 3 or 4) or (3 or 4, H, W), or a .npy (H, W)"
    " or (H, W, 3)"
)


class _Pixels(Protocol):
    """What a kind of file has to offer."""

    height: int
    width: int

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]: ...


class WindowReader:
    """A picture of which windows can be read; made by ``open_windows``.

    A context manager, for one thread at a time.

    Attributes:
        path: the file or folder.
        height, width: of the picture, in pixels.
    """

    def __init__(
        self, path: Path, pixels: _Pixels, *, watched: tuple[Path, ...], closing: ExitStack
    ) -> None:
        self.path = path
        self.height, self.width = pixels.height, pixels.width
        self._pixels: _Pixels | None = pixels
        self._watched, self._closing = watched, closing
        self._stamps = self._found_stamps()

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The pixels of some rows and columns: (h, w, 3) RGB bytes, a fresh array.

        16 bits are rounded to 8, grey becomes RGB, and an alpha channel is left out. What a sparse
        TIFF or a Zarr array leaves out is black, or what the array says.

        Raises:
            InputError: if they do not lie within the picture, the file changed meanwhile, the
                reader is closed, or what the file holds there cannot be decoded.
        """
        if self._pixels is None:
            raise InputError(f"'{self.path}' is closed; open it again to read from it")
        if not (_lies_within(rows, self.height) and _lies_within(columns, self.width)):
            raise InputError(
                f"expected a window within the {self.width}x{self.height} pixels of '{self.path}';"
                f" found rows {_text(rows)} and columns {_text(columns)}"
            )
        if self._found_stamps() != self._stamps:
            raise InputError(f"'{self.path}' changed while it was being read; open it again")
        try:
            return self._pixels.read(
                slice(int(rows.start), int(rows.stop)), slice(int(columns.start), int(columns.stop))
            )
        except TaesdStreamError:
            raise
        except Exception as error:  # every codec has exceptions of its own
            raise InputError(
                f"cannot decode '{self.path}' at rows {_text(rows)}, columns {_text(columns)}:"
                f" {first_line(error)}; is it complete?"
            ) from error

    def close(self) -> None:
        """Let go of the file and of what is kept of it; a second call does nothing."""
        self._pixels = None
        self._closing.close()

    def _found_stamps(self) -> list[tuple[int, int, int]]:
        try:
            found = [os.stat(path) for path in self._watched]
        except OSError as error:
            raise InputError(f"cannot read '{self.path}': {error.strerror}") from error
        return [(status.st_ino, status.st_size, status.st_mtime_ns) for status in found]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _lies_within(part: slice, size: int) -> bool:
    if not all(isinstance(end, int | np.integer) for end in (part.start, part.stop)):
        return False
    return part.step in (None, 1) and 0 <= part.start < part.stop <= size


def _text(part: slice) -> str:
    step = "" if part.step in (None, 1) else f":{part.step}"
    return f"{part.start}:{part.stop}{step}"


def open_windows(path: str | PathLike[str], *, cache_bytes: int = CACHE_BYTES) -> WindowReader:
    """Open a picture of any size, to read windows of it.

    TIFF and BigTIFF in tiles or strips (the first page, as it is stored: not turned), OME-Zarr 0.4
    and 0.5 (the full size of the first picture), plain Zarr arrays, and .npy arrays; grey or RGB,
    with alpha or without, of 8 or 16 bits. What the file is is told from its content.

    Args:
        path: the file or folder.
        cache_bytes: what decoded tiles, strips or chunks may take, for windows that follow each
            other lie in the same ones. The one at hand is always kept. To decode each only once,
            keep a row of them: the picture's width times their height times 3.

    Raises:
        InputError: if it is none of these.
        MissingExtraError: if the library for it is not installed.

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
        with ExitStack() as undoing:
            closing = undoing.enter_context(ExitStack())
            pixels, watched = _opened(source, closing, cache_bytes)
            reader = WindowReader(source, pixels, watched=watched, closing=closing)
            undoing.pop_all()
    except OSError as error:
        raise InputError(f"cannot read '{source}': {error.strerror}") from error
    return reader


def _opened(source: Path, closing: ExitStack, cache_bytes: int) -> tuple[_Pixels, tuple[Path, ...]]:
    if source.is_dir():
        return open_zarr(source, cache_bytes=cache_bytes)
    if not source.is_file():
        what = "something else" if source.exists() else "no such file"
        raise InputError(f"expected {_KINDS} at '{source}'; found {what}")
    with source.open("rb") as file:
        head = file.read(len(_NPY))
    if head == _NPY:
        layout = _npy_layout(source)
    elif head.startswith(_TIFF):
        found = open_tiff(source, closing, cache_bytes=cache_bytes)
        if not isinstance(found, RawLayout):
            return found, (source,)
        closing.close()
        layout = found
    else:
        raise InputError(f"expected {_KINDS} at '{source}'; found another kind of file")
    return _RawPixels(closing.enter_context(source.open("rb", buffering=0)), layout), (source,)


class _RawPixels:
    """Pixels that lie in a file as they are. Read, not mapped: a mapping of a file that shrinks
    ends the process, and what it brings in counts as the process's memory.
    """

    def __init__(self, file: FileIO, layout: RawLayout) -> None:
        self.height, self.width, channels = layout.shape
        self._file, self._layout = file, layout
        self._pixel_bytes = channels * layout.dtype.itemsize

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        height, width = rows.stop - rows.start, columns.stop - columns.start
        row_bytes = self.width * self._pixel_bytes
        start = self._layout.offset + rows.start * row_bytes + columns.start * self._pixel_bytes
        if width == self.width:
            found = read_rows(self._file, start, (height, width, self._pixel_bytes))
        else:
            found = np.empty((height, width, self._pixel_bytes), np.uint8)
            for index in range(height):
                place = start + index * row_bytes
                found[index] = read_rows(self._file, place, (1, width, self._pixel_bytes))[0]
        return to_rgb(found.view(self._layout.dtype))


def _npy_layout(path: Path) -> RawLayout:
    try:
        with path.open("rb") as file:
            read_header = {
                (1, 0): npy_format.read_array_header_1_0,
                (2, 0): npy_format.read_array_header_2_0,
            }[npy_format.read_magic(file)]
            shape, is_fortran, dtype = read_header(file)
            offset, file_bytes = file.tell(), os.fstat(file.fileno()).st_size
    except OSError:
        raise
    except Exception as error:  # a header is parsed as Python, which has many ways to fail
        raise InputError(f"cannot read '{path}' as .npy: {first_line(error)}") from error
    sizes = [int(size) for size in shape]
    if len(sizes) == 4 and sizes[0] == 1:
        del sizes[0]
    if len(sizes) == 2:
        sizes.append(1)
    is_picture = len(sizes) == 3 and min(sizes) >= 1 and sizes[2] in (1, 3, 4)
    if not is_picture or is_fortran or not is_picture_type(dtype):
        raise InputError(
            f"expected uint8 or uint16 (H, W, 3) or (H, W) in C order in '{path}'; found {dtype}"
            f" {shape} in {'Fortran' if is_fortran else 'C'} order"
        )
    height, width, channels = sizes
    needed = height * width * channels * dtype.itemsize
    if offset + needed > file_bytes:
        raise InputError(
            f"'{path}' is cut short: expected {needed} bytes of pixels, found"
            f" {file_bytes - offset}; copy or save it anew"
        )
    return RawLayout(offset, (height, width, channels), dtype)
