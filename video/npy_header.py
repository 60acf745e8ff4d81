"""The header of a .npy file: the shape and the dtype of the array whose numbers follow it."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy_format

from video.errors import InputError, first_line

__all__ = ["NPY_MAGIC", "NpyHeader", "npy_header", "read_npy_header"]

NPY_MAGIC: Final = npy_format.MAGIC_PREFIX
_MOST_BYTES: Final = 2**16
_READERS: Final = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


@dataclass(frozen=True)
class NpyHeader:
    """The contents of a header.

    Attributes:
        shape: one size per axis, from 0.
        dtype: of the numbers, in their byte order; objects too, which are pickles.
        is_fortran: whether the first axis runs fastest.
        length: bytes of the header, behind which the numbers begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    length: int

    def require_inside(self, file_bytes: int, name: str) -> None:
        """Refuse a header that claims more than the ``file_bytes`` that it is the beginning of.

        Raises:
            InputError: it does.
        """
        claimed = math.prod(self.shape) * self.dtype.itemsize
        if self.length + claimed > file_bytes:
            raise InputError(
                f"{name} is cut short: expected {claimed} bytes for an array of shape "
                f"{self.shape}, found {file_bytes - self.length}: copy or save it anew"
            )


def read_npy_header(file: IO[bytes], name: str) -> NpyHeader:
    """Read the header that ``file`` begins with; at most 64 KiB are read, in one go.

    Raises:
        InputError: it is broken, or of a version that no array of numbers has.

    >>> read_npy_header(io.BytesIO(npy_header((3, 4), np.dtype("<f4"))), "a.npy").shape
    (3, 4)
    """
    head = io.BytesIO(file.read(_MOST_BYTES))
    try:
        version = npy_format.read_magic(head)
        if version not in _READERS:
            raise ValueError(f"its version is {version}")
        shape, is_fortran, dtype = _READERS[version](head)
        if any(size < 0 for size in shape):
            raise ValueError(f"its shape is {shape}")
    except Exception as error:  # it is parsed as Python, which has many ways to fail
        raise InputError(
            f"{name}: expected an .npy header, found a broken one ({first_line(error)}): save it "
            "anew"
        ) from error
    return NpyHeader(tuple(shape), dtype, is_fortran, head.tell())


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any], *, length: int | None = None) -> bytes:
    """The header of an array in C order, of ``length`` bytes if that is given.

    >>> len(npy_header((3, 4), np.dtype("u1"))), len(npy_header((3, 4), np.dtype("u1"), length=256))
    (128, 256)
    """
    fields = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    if length is not None:
        start = NPY_MAGIC + bytes([1, 0]) + (length - 10).to_bytes(2, "little")
        return (start + repr(fields).encode()).ljust(length - 1) + b"\n"
    header = io.BytesIO()
    npy_format.write_array_header_1_0(header, fields)
    return header.getvalue()
