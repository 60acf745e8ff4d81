from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from video import InputError, OutputError, OutputExistsError, read_image, write_image


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (9, 13, 4), np.uint8)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.webp"])
def test_lossless_pictures_come_back(
    tmp_path: Path, picture: NDArray[np.uint8], name: str, channels: int
) -> None:
    if channels == 4:
        picture[..., 3] |= 1  # WebP drops the colour of what cannot be seen
    path = write_image(tmp_path / name, picture[..., :channels], lossless=True)
    np.testing.assert_array_equal(read_image(path, channels=channels), picture[..., :channels])
    if channels == 3:  # what is transparent shows white
        np.testing.assert_array_equal(read_image(path), picture[..., :3])
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.webp"])
def test_red_is_red_for_everyone(tmp_path: Path, name: str) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 250
    path = write_image(tmp_path / name, red)
    assert np.abs(read_image(path).astype(int) - red).max() <= 3
    assert cv2.imread(str(path))[4, 4, 2] > 240


def test_sixteen_bits_grey_and_alpha_are_read_sensibly(tmp_path: Path) -> None:
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "deep.png"), np.dstack((ramp, ramp, ramp)))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 0], ramp // 257)
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 5), 77, np.uint8))
    assert read_image(tmp_path / "grey.png").shape == (4, 5, 3)
    assert (read_image(tmp_path / "grey.png") == 77).all()
    with pytest.raises(InputError, match=r"expected 4 channels.*found 3"):
        read_image(tmp_path / "grey.png", channels=4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.png'; found an empty file"),
        (b"no picture", r"a\.png'; found a text"),
        (b"\x89PNG\r\n\x1a\n", r"cannot read '.*a\.png' as a picture"),
        (b"\1\2\3\4", r"cannot read '.*a\.png' as a picture.*4 bytes of no known format"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / "a.png")


def test_missing_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="found a folder"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="3 or 4 channels"):
        read_image(tmp_path, channels=2)


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("a.tga", (4, 4, 3), {}, r"\.png.*found '.*a\.tga'"),
        ("a.png", (4, 4), {}, r"found shape \(4, 4\)"),
        ("a.png", (4, 4, 2), {}, r"found shape \(4, 4, 2\)"),
        ("a.png", (0, 4, 3), {}, r"found shape \(0, 4, 3\)"),
        ("a.jpg", (4, 4, 4), {}, "JPEG has no alpha"),
        ("a.jpg", (4, 4, 3), {"lossless": True}, "JPEG is never lossless"),
        ("a.webp", (2, 20000, 3), {}, r"cannot hold a picture of 20000x2"),
        ("no/a.png", (4, 4, 3), {}, "create it first"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], options: dict[str, bool], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_image(tmp_path / name, np.zeros(shape, np.uint8), **options)
    assert list(tmp_path.iterdir()) == []


def test_existing_pictures_are_left_alone(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    path = write_image(tmp_path / "a.png", picture)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_image(path, 255 - picture)
    np.testing.assert_array_equal(read_image(path, channels=4), picture)
    write_image(path, 255 - picture, overwrite=True)
    np.testing.assert_array_equal(read_image(path, channels=4), 255 - picture)


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"a\.png': no room"):
        write_image(tmp_path / "a.png", picture)
    assert list(tmp_path.iterdir()) == []
