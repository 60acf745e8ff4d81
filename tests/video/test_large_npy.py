from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.video.test_large_pyramid import noise
from video import InputError
from video.large.npy import RowFile


def test_a_file_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    image = noise(9, 5)
    path = tmp_path / "a.part.npy"
    with RowFile.create(path, width=5, height=9) as file:
        file.write(image[:4])
        file.sync()
    with path.open("ab") as torn:
        torn.write(b"half a row")
    with RowFile(path, width=5, height=9) as file:
        assert (file.rows, file.width, file.height, file.path) == (4, 5, 9, path)
        np.testing.assert_array_equal(file.read(1, 4), image[1:4])
        file.truncate_to(3)
        assert file.rows == 3
        file.write(image[3:])
        np.testing.assert_array_equal(file.read(0, 9), image)
        assert file.read(2, 2).shape == (0, 5, 3)
    np.testing.assert_array_equal(np.load(path), image[None])
    assert np.load(path).flags.c_contiguous


def test_strided_rows_are_written_as_they_look(tmp_path: Path) -> None:
    image = noise(4, 6)
    with RowFile.create(tmp_path / "a.npy", width=3, height=4) as file:
        file.write(image[:, ::2])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[0], image[:, ::2])


@pytest.mark.parametrize(
    "array",
    [np.zeros((1, 9, 6, 3), np.uint8), np.zeros((1, 9, 5, 3), np.float16), np.zeros(3, np.uint8)],
)
def test_another_array_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    before = (tmp_path / "a.npy").read_bytes()
    with pytest.raises(InputError, match=r"expected rows of a uint8 array \(1, 9, 5, 3\)"):
        RowFile(tmp_path / "a.npy", width=5, height=9)
    assert (tmp_path / "a.npy").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no header at all", b"\x93NUMPY\x01\x00\xff"])
def test_what_is_no_array_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"expected an \.npy header, found a broken one"):
        RowFile(tmp_path / "a.npy", width=5, height=9)


def test_wrong_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1x1"):
        RowFile.create(tmp_path / "a.npy", width=0, height=9)
    with RowFile.create(tmp_path / "a.npy", width=5, height=2) as file:
        with pytest.raises(InputError, match=r"found shape \(2, 4, 3\)"):
            file.write(noise(2, 4))
        with pytest.raises(InputError, match=r"found .* dtype float32"):
            file.write(np.zeros((2, 5, 3), np.float32))  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"expected 2 rows for .*; found 3"):
            file.write(noise(3, 5))
        file.write(noise(1, 5))
        with pytest.raises(InputError, match=r"within 0 to 1 .*; found 0 to 2"):
            file.read(0, 2)
        with pytest.raises(InputError, match=r"expected at least 2 rows .*; found 1"):
            file.truncate_to(2)
        assert file.rows == 1
    with pytest.raises(FileNotFoundError):
        RowFile(tmp_path / "b.npy", width=5, height=2)
