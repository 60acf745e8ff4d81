"""Pictures whose headers claim more than there is, refused before anything is allocated."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from video import InputError, read_image
from video.claimed_size import _claimed


def png_claiming(path: Path, width: int, height: int) -> Path:
    """A picture of 8x8 pixels whose header, sum and all, claims others."""
    Image.new("RGB", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "size", [(0xFFFFFFFF, 0xFFFFFFFF), (100_000, 100_000), (100_000, 90), (1 << 31, 8)], ids=str
)
def test_a_png_cannot_claim_what_it_does_not_hold(size: tuple[int, int], tmp_path: Path) -> None:
    path = png_claiming(tmp_path / "a.png", *size)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"claims {size[0]}x{size[1]} pixels"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_a_jpeg_cannot_either(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(path)
    data = path.read_bytes()
    frame = data.index(b"\xff\xc0")
    path.write_bytes(data[: frame + 5] + struct.pack(">HH", 65500, 65500) + data[frame + 9 :])
    with pytest.raises(InputError, match="claims 65500x65500 pixels"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_emptiest_of_pictures_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("L" if suffix == ".jpg" else "1", (4000, 3000)).save(path, optimize=True)
    assert _claimed(path.read_bytes()) == (4000, 3000)
    image = read_image(path)
    assert image.shape == (3000, 4000, 3)
    assert not np.any(image)
