"""Arrays that a file or some bytes hold, known by where their numbers are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import FLOATING_DTYPES, dtype_name, require_floating
from taesd_stream.latents.raw_store import RawStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taesd_stream.latents.raw_store import SpanReader

__all__ = ["DTYPES", "MemoryBytes", "PlacedArray", "Storage"]

DTYPES: Final = {
    dtype_name(dtype): dtype
    for dtype in (
        *FLOATING_DTYPES,
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
        *(torch.complex64, torch.complex128),
    )
}
"""The dtypes of arrays whose place can be told, by their names."""


class MemoryBytes:
    """Bytes in memory, to be read as those of a file are; ``name`` is what errors call them."""

    def __init__(self, data: bytes | bytearray, name: str) -> None:
        self.name = name
        self.size = len(data)
        self.most_gap_bytes = None
        self._bytes = np.frombuffer(data, np.uint8)

    def span(self, start: int, stop: int) -> NDArray[np.uint8]:
        return self._bytes[start:stop]

    def close(self) -> None:
        """Nothing to let go of: the bytes go with the last who reads them."""


@dataclass(eq=False)
class Storage:
    """Numbers that one or several arrays show, ``nbytes`` bytes of them from ``offset`` on.

    ``source`` and ``offset`` are None while it is not known where they are.
    """

    dtype: torch.dtype
    nbytes: int
    source: SpanReader | None = None
    offset: int | None = None


@dataclass(frozen=True, eq=False)
class PlacedArray:
    """An array of any dtype, whose numbers are read when they are asked for.

    Attributes:
        storage: the bytes that it is in.
        start: the place of its first number there, in numbers.
        shape: one size per axis.
        strides: in numbers.
        dtype: the name of its dtype; :data:`DTYPES` has those that can be read.
        byte_order: ``"<"`` or ``">"``.
    """

    storage: Storage
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    byte_order: str = "<"

    @property
    def numbers(self) -> tuple[object, ...]:
        """Where they are: arrays for which this is equal are the same."""
        return id(self.storage), self.start, self.shape, self.strides

    @property
    def is_floating(self) -> bool:
        return DTYPES.get(self.dtype) in FLOATING_DTYPES

    def store(self, name: str) -> RawStore:
        """The numbers, for reading.

        Raises:
            LatentsError: they are not floating, or not all there.
        """
        dtype = DTYPES.get(self.dtype)
        if dtype is None or dtype not in FLOATING_DTYPES:
            require_floating(dtype or self.dtype, name)
        assert dtype is not None
        source, offset = self.storage.source, self.storage.offset
        numbers = (self.start, *self.shape, *self.strides)
        if source is None or offset is None or any(number < 0 for number in numbers):
            raise LatentsError(
                f"{name}: expected an array whose numbers are there, found one without: "
                "copy or save the file anew"
            )
        last = sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        end = (self.start + last + 1) * dtype.itemsize
        if math.prod(self.shape) > 0 and end > self.storage.nbytes:
            raise LatentsError(
                f"{name}: expected {end} bytes for an array of shape {self.shape}, found "
                f"{self.storage.nbytes}: copy or save the file anew"
            )
        return RawStore(
            source,
            offset + self.start * dtype.itemsize,
            self.shape,
            self.strides,
            dtype,
            byte_order=self.byte_order,
        )
