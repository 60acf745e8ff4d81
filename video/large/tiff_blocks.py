"""The tiles or strips of a TIFF, decoded by tifffile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from video.errors import VideoInputError
from video.images import to_uint8
from video.large.blocks import Blocks
from video.large.errors import load_library

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["TiffBlocks"]

_MOST_BLOCK_BYTES = 256 << 20
_PHOTOMETRIC = {"MINISBLACK": (1,), "RGB": (3, 4), "YCBCR": (3,)}


class TiffBlocks:
    """The first page of a TIFF. Blocks are decoded one by one: its Zarr view would do so for every
    window that touches one.

    Args:
        path: the file.
        cache_bytes: what decoded blocks may take.

    Attributes:
        blocks: the picture.

    Raises:
        VideoInputError: if it holds no grey or RGB picture of 8 or 16 bits.
        MissingLibraryError: if tifffile is not installed.
    """

    def __init__(self, path: Path, *, cache_bytes: int) -> None:
        tifffile = load_library("tifffile", ".tif")
        self._path = path
        try:
            self._file = tifffile.TiffFile(path)
        except Exception as error:  # whatever a broken header makes the library stumble over
            raise VideoInputError(f"cannot read '{path}' as TIFF: {error}") from error
        try:
            self._page: Any = self._file.pages[0]
            self.blocks = self._opened(cache_bytes)
        except VideoInputError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise VideoInputError(f"cannot read '{path}' as TIFF: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _opened(self, cache_bytes: int) -> Blocks:
        page = self._page
        photometric = getattr(page.photometric, "name", str(page.photometric))
        samples = page.samplesperpixel
        if samples not in _PHOTOMETRIC.get(photometric, ()) or page.dtype not in (
            np.uint8,
            np.uint16,
        ):
            raise VideoInputError(
                f"expected a grey or RGB picture of 8 or 16 bits in '{self._path}'; found"
                f" {photometric} of {samples} samples, {page.dtype}"
            )
        height, width = page.imagelength, page.imagewidth
        high = page.tilelength if page.is_tiled else min(page.rowsperstrip, height)
        wide = page.tilewidth if page.is_tiled else width
        if high * wide * samples * page.dtype.itemsize > _MOST_BLOCK_BYTES:
            raise VideoInputError(
                f"expected tiles or strips of up to {_MOST_BLOCK_BYTES >> 20} MiB in"
                f" '{self._path}'; found {wide}x{high} pixels: save it in tiles"
            )
        self._across, self._down = -(-width // wide), -(-height // high)
        self._planes = samples if page.planarconfig == 2 else 1
        expected = self._across * self._down * self._planes
        if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
            raise VideoInputError(
                f"expected {expected} tiles or strips in '{self._path}'; found"
                f" {len(page.dataoffsets)}: is it complete?"
            )
        return Blocks(
            height,
            width,
            block_height=high,
            block_width=wide,
            decode=self._decode,
            cache_bytes=cache_bytes,
        )

    def _decode(self, row: int, column: int) -> NDArray[np.uint8] | None:
        number = row * self._across + column
        planes = [
            self._segment(number + plane * self._across * self._down)
            for plane in range(self._planes)
        ]
        present = [plane for plane in planes if plane is not None]
        if len(present) < len(planes):
            return None
        array = to_uint8(np.concatenate(present, axis=2))
        return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3]

    def _segment(self, number: int) -> NDArray[Any] | None:
        """A decoded tile or strip, (h, w, samples); None where there is none in a sparse file."""
        page = self._page
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if not count:
            return None
        handle = self._file.filehandle
        handle.seek(offset)
        data = handle.read(count)
        if len(data) < count:
            raise VideoInputError(
                f"'{self._path}' is cut short: expected {count} bytes at {offset}, found"
                f" {len(data)}; copy or save it anew"
            )
        segment, _, shape = page.decode(data, number, jpegtables=page.jpegtables)
        if segment is None:
            return None
        decoded: NDArray[Any] = segment[0, : shape[1], : shape[2]]
        return decoded
