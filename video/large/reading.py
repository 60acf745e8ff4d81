"""Regions of pictures larger than memory: only what a region needs is read."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from video.closing import Closing
from video.errors import InputError, TaesdStreamError, first_line
from video.large.raw_pixels import open_npy
from video.large.reading_tiff import open_tiff
from video.large.reading_zarr import open_zarr
from video.npy_header import NPY_MAGIC
from video.reading_remarks import ReadingRemarks, pages_note
from video.regions import checked_region
from video.safe_files.watched_files import WatchedFiles
from video.transparency import OVER_WHITE, Transparency

if TYPE_CHECKING:
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from video.large.shown_pixels import Pixels

__all__ = ["CACHE_BYTES", "RegionReader", "open_regions"]

CACHE_BYTES = 32 << 20
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KINDS = (
    "a TIFF, an OME-Zarr, a Zarr array (H, W), (H, W, 3 or 4) or (3 or 4, H, W), or a .npy (H, W)"
    " or (H, W, 3 or 4)"
)


class RegionReader(Closing):
    """A picture of which regions can be read; made by ``open_regions``.

    A context manager, for one thread at a time.

    Attributes:
        path: the file or folder.
        height, width: of the picture, in pixels.
    """

    def __init__(
        self,
        path: Path,
        pixels: Pixels,
        *,
        transparency: Transparency,
        watched: tuple[Path, ...],
        closing: ExitStack,
        pages: int = 1,
    ) -> None:
        self.path = path
        self._remarks = ReadingRemarks(path.name, transparency)
        self._pages = pages
        self.height, self.width = pixels.size
        self._pixels: Pixels | None = pixels
        self._watched, self._closing = WatchedFiles(f"'{path}'", *watched), closing

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The pixels of some rows and columns: (h, w, 3) RGB bytes, a fresh array.

        16 bits are rounded to 8, and grey becomes RGB. What is transparent is laid over white, or
        treated as the reader was told: where it is kept, (h, w, 4). What a sparse TIFF or a Zarr
        array leaves out is black, transparent where there is alpha, or what the array says.

        Raises:
            InputError: if they do not lie within the picture, the file changed meanwhile, the
                reader is closed, or what the file holds there cannot be decoded.
        """
        if self._pixels is None:
            raise InputError(f"'{self.path}' is closed; open it again to read from it")
        rows, columns = checked_region(rows, columns, (self.height, self.width), f"'{self.path}'")
        self._watched.check()
        try:
            return self._remarks.taken(self._pixels.read(rows, columns))
        except TaesdStreamError:
            raise
        except Exception as error:  # every codec has exceptions of its own
            raise InputError(
                f"cannot decode '{self.path}' at rows {rows.start}:{rows.stop}, columns"
                f" {columns.start}:{columns.stop}: {first_line(error)}; is it complete?"
            ) from error

    @property
    def notes(self) -> tuple[str, ...]:
        """For the user, a line each, on what pixels are not; complete once all are read."""
        return *self._remarks.lines(), *pages_note(self.path.name, self._pages)

    def close(self) -> None:
        """Let go of the file and of what is kept of it; a second call does nothing."""
        self._pixels = None
        self._closing.close()


def open_regions(
    path: str | PathLike[str],
    *,
    cache_bytes: int = CACHE_BYTES,
    transparency: Transparency = OVER_WHITE,
) -> RegionReader:
    """Open a picture of any size, to read regions of it.

    TIFF and BigTIFF in tiles or strips (the first page, upright and in sRGB), OME-Zarr 0.4
    and 0.5 (the full size of the first picture), plain Zarr arrays, and .npy arrays; grey or RGB,
    with alpha or without, of 8 or 16 bits; of a TIFF a palette, few bits and CMYK, too. What the
    file is is told from its content.

    Args:
        path: the file or folder.
        cache_bytes: what decoded tiles, strips or chunks may take, for regions that follow each
            other lie in the same ones. The one at hand is always kept. To decode each only once,
            keep a row of them: the picture's width times their height times 3.
        transparency: what becomes of pixels with alpha.

    Raises:
        InputError: if it is none of these.
        MissingExtraError: if the library for it is not installed.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.ones((4, 6, 3), np.uint8))
        ...     with open_regions(f"{folder}/a.npy") as reader:
        ...         reader.width, reader.read(slice(1, 3), slice(0, 6)).shape
        (6, (2, 6, 3))
    """
    source = Path(path)
    try:
        with ExitStack() as undoing:
            closing = undoing.enter_context(ExitStack())
            pixels, watched, pages = _opened(source, closing, cache_bytes)
            reader = RegionReader(
                source,
                pixels,
                transparency=transparency,
                watched=watched,
                closing=closing,
                pages=pages,
            )
            undoing.pop_all()
    except OSError as error:
        raise InputError(f"cannot read '{source}': {error.strerror}") from error
    return reader


def _opened(
    source: Path, closing: ExitStack, cache_bytes: int
) -> tuple[Pixels, tuple[Path, ...], int]:
    """The pixels, the files that they are in, and how many pages there are."""
    if source.is_dir():
        return *open_zarr(source, cache_bytes=cache_bytes), 1
    if not source.is_file():
        what = "something else" if source.exists() else "no such file"
        raise InputError(f"expected {_KINDS} at '{source}'; found {what}")
    with source.open("rb") as file:
        head = file.read(len(NPY_MAGIC))
    if head == NPY_MAGIC:
        return open_npy(source, closing), (source,), 1
    if head.startswith(_TIFF):
        picture = open_tiff(source, closing, cache_bytes=cache_bytes)
        return picture.pixels, (source,), picture.pages
    raise InputError(f"expected {_KINDS} at '{source}'; found another kind of file")
