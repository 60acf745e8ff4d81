"""PNG, row by row."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING

import numpy as np

from video.background import WriteBehind
from video.large.libraries import load_library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from video.large.formats import RowPicture

__all__ = ["PngEncoder"]

_DEPTH = 2
# pypng's own rows are never filtered. With each pixel's difference from the left one, photographs
# take a third less; and beyond level 1, zlib gains little on them and takes several times as long.
_SUB = 1
_LEVEL = 1
_CHUNK_BYTES = 1 << 20


class PngEncoder:
    """Filters and compresses the rows in a thread; pypng writes the header and the chunks.

    Args:
        path: the file to write.
        picture: of sides of at most 2^31 - 1 pixels.
    """

    def __init__(self, path: Path, picture: RowPicture) -> None:
        self._png = load_library("png", ".png")
        self._path = path
        self._writer = self._png.Writer(
            width=picture.width,
            height=picture.height,
            greyscale=False,
            alpha=picture.alpha,
            bitdepth=8,
        )
        self._thread: WriteBehind[NDArray[np.uint8], None] = WriteBehind(self._pull, most=_DEPTH)

    def add(self, rows: NDArray[np.uint8]) -> None:
        self._thread.put(_filtered(rows))

    def finish(self) -> None:
        self._thread.finish()

    def stop(self) -> None:
        self._thread.stop()

    def _pull(self, strips: Iterator[NDArray[np.uint8]]) -> None:
        compressor = zlib.compressobj(_LEVEL)
        waiting = bytearray()
        with self._path.open("wb") as file:
            self._writer.write_preamble(file)
            for strip in strips:
                waiting += compressor.compress(strip.data)
                self._write_chunks(file, waiting, least=_CHUNK_BYTES)
            waiting += compressor.flush()
            self._write_chunks(file, waiting, least=1)
            self._png.write_chunk(file, b"IEND")

    def _write_chunks(self, file: IO[bytes], waiting: bytearray, *, least: int) -> None:
        """Chunks of one size, whatever the strips were, until fewer bytes than ``least`` wait."""
        while len(waiting) >= least:
            self._png.write_chunk(file, b"IDAT", waiting[:_CHUNK_BYTES])
            del waiting[:_CHUNK_BYTES]


def _filtered(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bytes of each row after its filter's number: the differences from the pixel before."""
    count, width, channels = rows.shape
    lines = np.empty((count, 1 + width * channels), np.uint8)
    lines[:, 0] = _SUB
    pixels = lines[:, 1:].reshape(count, width, channels)
    pixels[:, 0] = rows[:, 0]
    np.subtract(rows[:, 1:], rows[:, :-1], out=pixels[:, 1:])
    return lines
