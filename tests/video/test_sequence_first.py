"""Numbered pictures that go on where earlier ones end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from video import ImageSequenceWriter, OutputExistsError, VideoInputError, read_sequence


def frames(count: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(5).integers(0, 256, (count, 6, 8, 3), np.uint8))


def fill(writer: ImageSequenceWriter, images: list[NDArray[np.uint8]]) -> None:
    with writer:
        for image in images:
            writer.write(image)


def test_numbers_go_on_where_earlier_pictures_end(tmp_path: Path) -> None:
    images = frames(5)
    writer = ImageSequenceWriter(tmp_path / "a_%03d.png", width=8, height=6, first=3)
    fill(writer, images[3:])
    assert [file.name for file in writer.files] == ["a_003.png", "a_004.png"]
    assert (writer.frames_written, writer.notes) == (5, ())
    fill(ImageSequenceWriter(tmp_path / "b_%d.png", width=8, height=6), images[:3])
    writer = ImageSequenceWriter(tmp_path / "b_%d.png", width=8, height=6, first=3)
    fill(writer, images[3:])
    for sent, got in zip(images, read_sequence(tmp_path / "b_%d.png"), strict=True):
        np.testing.assert_array_equal(got, sent)


def test_pictures_from_the_first_number_on_need_leave_to_be_replaced(tmp_path: Path) -> None:
    images = frames(6)
    fill(ImageSequenceWriter(tmp_path / "%d.png", width=8, height=6), images)
    with pytest.raises(OutputExistsError, match=r"'.*/4\.png' exists already"):
        ImageSequenceWriter(tmp_path / "%d.png", width=8, height=6, first=4)
    writer = ImageSequenceWriter(tmp_path / "%d.png", width=8, height=6, first=4, overwrite=True)
    fill(writer, images[:1])
    assert writer.notes == ("1 older pictures beyond these were left in place",)
    expected = [*images[:4], images[0], images[5]]
    np.testing.assert_array_equal(list(read_sequence(tmp_path / "%d.png")), expected)


def test_pictures_that_are_all_there_already_are_enough(tmp_path: Path) -> None:
    writer = ImageSequenceWriter(tmp_path / "%d.png", width=8, height=6, first=3)
    fill(writer, [])
    assert (writer.frames_written, writer.files) == (3, [])


@pytest.mark.parametrize(("name", "first"), [("%d.png", -1), ("still.png", 1)])
def test_first_numbers_that_cannot_be(tmp_path: Path, name: str, first: int) -> None:
    with pytest.raises(VideoInputError, match=f"expected a first number of 0.*; found {first}"):
        ImageSequenceWriter(tmp_path / name, width=8, height=6, first=first)
