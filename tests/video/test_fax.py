"""Faxes are read as Pillow reads them, and nothing is written beside."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from video.images import read_image


def fax(path: Path, compression: str, orientation: int = 1) -> bytes:
    y, x = np.mgrid[0:40, 0:70]
    image = Image.fromarray(((x * y // 50) % 17) < 8).convert("1")
    made = BytesIO()
    image.save(made, "TIFF", compression=compression, tiffinfo={274: orientation})
    path.write_bytes(made.getvalue())
    return made.getvalue()


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_every_kind_is_read_upright(compression: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    fax(path, compression, orientation)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(read_image(path), expected)


def test_rows_that_are_made_up_write_no_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, level = tmp_path / "a.tif", cv2.utils.logging.getLogLevel()
    data = bytearray(fax(path, "group4"))
    for place in (30, 60, 90):
        data[place] ^= 0x55
    path.write_bytes(data)
    assert read_image(path).shape == (40, 70, 3)
    assert capfd.readouterr().err == ""
    assert cv2.utils.logging.getLogLevel() == level
