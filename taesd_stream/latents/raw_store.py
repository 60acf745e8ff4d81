"""An array whose numbers lie uncompressed in a file, read by mapping only what is asked for.

Nothing stays open or mapped between two reads, so the resident memory is what the caller holds,
a folder of thousands of files needs no handles, and nothing has to be closed.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import refuse_unreadable
from taesd_stream.latents.source import Store
from video.safe_files.watched_files import stamp_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["FileBytes", "RawStore", "SpanReader", "require_stored_in_full", "row_major"]

_SAME_SIZE_INTEGER: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class SpanReader(Protocol):
    """Bytes that can be had from any offset."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def span(self, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes from ``start`` to ``stop``, which lie within ``size``; read-only."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class FileBytes:
    """A file as it was when it was opened; a change while it is being read is an error.

    ``name`` is what errors call it.
    """

    path: Path
    name: str
    size: int
    _stamp: tuple[int, int, int]

    @classmethod
    def of(cls, path: Path, name: str) -> FileBytes:
        with refuse_unreadable(name):
            status = path.stat()
        return cls(path, name, status.st_size, stamp_of(status))

    def open(self) -> BinaryIO:
        """The file for reading, unless it has vanished or changed."""
        with refuse_unreadable(self.name):
            file = self.path.open("rb")
        if stamp_of(os.fstat(file.fileno())) != self._stamp:
            file.close()
            raise LatentsError(
                f"{self.name}: the file changed while it was being read: open it again"
            )
        return file

    def head(self, count: int) -> bytes:
        """The first bytes, ``count`` or as many as there are."""
        with self.open() as file:
            return file.read(count)

    def span(self, start: int, stop: int) -> NDArray[np.uint8]:
        with self.open() as file:
            return np.memmap(file, np.uint8, mode="r", offset=start, shape=(stop - start,))

    def close(self) -> None:
        """Nothing to let go of: the file is opened for each read."""


class RawStore(Store):
    """A strided array of a torch dtype that starts at ``offset`` bytes.

    ``strides`` count elements; ``byte_order`` is ``"<"`` or ``">"``.

    Raises:
        LatentsError: the array ends behind the end of the file, or repeats itself beyond it.
    """

    def __init__(
        self,
        source: SpanReader,
        offset: int,
        shape: Sequence[int],
        strides: Sequence[int],
        dtype: torch.dtype,
        *,
        byte_order: str = "<",
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = dtype
        self._source = source
        self._offset = offset
        self._strides = tuple(strides)
        self._numbers = np.dtype(f"{byte_order}i{dtype.itemsize}")
        if math.prod(shape) > 0:
            _, end = self._extent(tuple(slice(0, size) for size in shape))
            if end > source.size:
                raise LatentsError(
                    f"{source.name}: expected {end} bytes for an array of shape {self.shape}, "
                    f"found {source.size}: the file is cut short, copy or save it anew"
                )
            require_stored_in_full(self.shape, dtype, source)

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        if out.numel() == 0:
            return
        start, end = self._extent(index)
        block: NDArray[np.generic] = np.ndarray(
            shape=tuple(part.stop - part.start for part in index),
            dtype=self._numbers,
            buffer=self._source.span(start, end),
            strides=[stride * self._numbers.itemsize for stride in self._strides],
        )
        # As integers: NumPy knows neither bfloat16 nor float8, and every NaN keeps its bits.
        np.copyto(out.view(_SAME_SIZE_INTEGER[self._numbers.itemsize]).numpy(), block)

    def close(self) -> None:
        self._source.close()

    def _extent(self, index: tuple[slice, ...]) -> tuple[int, int]:
        """The offsets in bytes of the block's first number and behind its last."""
        pairs = list(zip(index, self._strides, strict=True))
        first = sum(part.start * stride for part, stride in pairs)
        last = sum((part.stop - 1) * stride for part, stride in pairs)
        itemsize = self._numbers.itemsize
        return self._offset + first * itemsize, self._offset + (last + 1) * itemsize


def require_stored_in_full(shape: Sequence[int], dtype: torch.dtype, source: SpanReader) -> None:
    """Refuse an array that repeats few numbers to be larger than the file that it comes from."""
    if math.prod(shape) * dtype.itemsize > source.size:
        raise LatentsError(
            f"{source.name}: expected an array of shape {tuple(shape)} to be stored in full, found "
            f"{source.size} bytes that it repeats: save it with .contiguous()"
        )


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides, in elements, of an array stored with its last axis running fastest.

    >>> row_major((81, 4, 60, 104))
    (24960, 6240, 104, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
