"""Headers of .npy files."""

from __future__ import annotations

import io

import numpy as np
import pytest

from video.errors import InputError
from video.npy_header import npy_header, read_npy_header


@pytest.mark.parametrize("length", [None, 128, 256])
@pytest.mark.parametrize("dtype", ["|u1", "<f2", ">f8"])
def test_what_is_written_is_read_again_by_us_and_by_numpy(length: int | None, dtype: str) -> None:
    numbers = np.arange(24).reshape(2, 3, 4).astype(dtype)
    header = npy_header(numbers.shape, numbers.dtype, length=length)
    found = read_npy_header(io.BytesIO(header), "a.npy")
    assert (found.shape, found.dtype, found.is_fortran) == ((2, 3, 4), numbers.dtype, False)
    assert found.length == len(header) == (length or 128)
    np.testing.assert_array_equal(np.load(io.BytesIO(header + numbers.tobytes())), numbers)


def test_an_array_that_is_cut_short_is_refused() -> None:
    header = npy_header((4, 4), np.dtype("<f4"))
    found = read_npy_header(io.BytesIO(header), "a.npy")
    found.require_inside(len(header) + 64, "a.npy")
    with pytest.raises(InputError, match=r"a\.npy is cut short: expected 64 bytes .*, found 63"):
        found.require_inside(len(header) + 63, "a.npy")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\0\xff", b"\x93NUMPY\x09\0" + bytes(90), b"PK" * 64],
)
def test_broken_headers_are_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^a\.npy: expected an \.npy header") as caught:
        read_npy_header(io.BytesIO(content), "a.npy")
    assert "\n" not in str(caught.value)
