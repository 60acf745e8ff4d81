"""An array whose numbers lie uncompressed in a file, read by mapping only what is asked for.

Nothing stays open or mapped between two reads, so the resident memory is what the caller holds,
a folder of thousands of files needs no handles, and nothing has to be closed.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import refuse_unreadable
from taesd_stream.latents.source import Store
from video.safe_files.watched_files import stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = [
    "FileBytes",
    "RawStore",
    "SpanReader",
    "StoredBytes",
    "require_stored_in_full",
    "row_major",
]

_SAME_SIZE_INTEGER: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_MOST_FETCHED: Final = 2**23
"""Bytes that are fetched by one request, where bytes are not mapped."""

_MOST_REQUESTS: Final = 8
"""At one time."""


class SpanReader(Protocol):
    """Bytes that can be had from any offset."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def most_gap_bytes(self) -> int | None:
        """How many bytes between two parts it is better to read along than to leave out.

        None where bytes are mapped: of a span, only what is looked at is read.
        """

    def span(self, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes from ``start`` to ``stop``, which lie within ``size``; read-only."""

    def close(self) -> None: ...


class StoredBytes(SpanReader, Protocol):
    """The bytes of a whole file, wherever it is; a change while they are being read is an error.

    ``suffix`` is that of its name, in small letters.
    """

    @property
    def suffix(self) -> str: ...

    def open(self) -> BinaryIO:
        """The file for reading, unless it has vanished or changed."""

    def head(self, count: int) -> bytes:
        """The first bytes, ``count`` or as many as there are."""


@dataclass(frozen=True)
class FileBytes:
    """A file as it was when it was opened; a change while it is being read is an error.

    ``name`` is what errors call it.
    """

    path: Path
    name: str
    size: int
    _stamp: tuple[int, int, int]
    most_gap_bytes: None = None

    @classmethod
    def of(cls, path: Path, name: str) -> FileBytes:
        with refuse_unreadable(name):
            status = path.stat()
        return cls(path, name, status.st_size, stamp_of(status))

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    def open(self) -> BinaryIO:
        with refuse_unreadable(self.name):
            file = self.path.open("rb")
        if stamp_of(os.fstat(file.fileno())) != self._stamp:
            file.close()
            raise LatentsError(
                f"{self.name}: the file changed while it was being read: open it again"
            )
        return file

    def head(self, count: int) -> bytes:
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
        # As integers: NumPy knows neither bfloat16 nor float8, and every NaN keeps its bits.
        numbers = out.view(_SAME_SIZE_INTEGER[self._numbers.itemsize]).numpy()
        parts = list(self._parts(index))
        if len(parts) == 1:
            self._read(numbers, index)
            return

        def read(part: tuple[slice, ...]) -> None:
            inside = zip(part, index, strict=True)
            place = (slice(of.start - whole.start, of.stop - whole.start) for of, whole in inside)
            self._read(numbers[tuple(place)], part)

        with ThreadPoolExecutor(min(len(parts), _MOST_REQUESTS)) as pool:
            for _ in pool.map(read, parts):
                pass  # what one of them raises is raised here

    def close(self) -> None:
        self._source.close()

    def _read(self, out: NDArray[np.generic], index: tuple[slice, ...]) -> None:
        start, end = self._extent(index)
        block: NDArray[np.generic] = np.ndarray(
            shape=tuple(part.stop - part.start for part in index),
            dtype=self._numbers,
            buffer=self._source.span(start, end),
            strides=[stride * self._numbers.itemsize for stride in self._strides],
        )
        np.copyto(out, block)

    def _parts(self, index: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
        """The blocks to read apart: those between which much is left out, and none too large."""
        most_gap = self._source.most_gap_bytes
        start, end = self._extent(index)
        axes = sorted(range(len(index)), key=lambda axis: self._strides[axis])
        cut = [axis for axis in axes if index[axis].stop - index[axis].start > 1]
        is_small = end - start <= _MOST_FETCHED and self._widest_gap(index, cut) <= (most_gap or 0)
        if most_gap is None or is_small or not cut:
            yield index
            return
        axis = cut[-1]
        middle = (index[axis].start + index[axis].stop) // 2
        for half in (slice(index[axis].start, middle), slice(middle, index[axis].stop)):
            yield from self._parts((*index[:axis], half, *index[axis + 1 :]))

    def _widest_gap(self, index: tuple[slice, ...], axes: Sequence[int]) -> int:
        """The most bytes between two neighbours in a block; ``axes`` are those that it has."""
        widest, extent = 0, self._numbers.itemsize
        for axis in axes:
            stride = self._strides[axis] * self._numbers.itemsize
            widest = max(widest, stride - extent)
            extent += stride * (index[axis].stop - index[axis].start - 1)
        return widest

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
