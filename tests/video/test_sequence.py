from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.writing import fill
from video import (
    ImageSequenceReader,
    ImageSequenceWriter,
    InputError,
    OutputExistsError,
    read_image,
    read_sequence,
    write_image,
)


def frames(count: int) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(5).integers(0, 256, (count, 6, 8, 3), np.uint8))


def open_sequence(target: Path, *, overwrite: bool = False) -> ImageSequenceWriter:
    return ImageSequenceWriter(target, width=8, height=6, overwrite=overwrite)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("target", "first"),
    [
        ("new", "new/00000.png"),
        ("%d.png", "0.png"),
        ("f_%05d.png", "f_00000.png"),
        ("100%%_%02d.webp", "100%_00.webp"),
        ("%04d.jpg", "0000.jpg"),
    ],
)
def test_pictures_are_numbered_and_read_back_in_order(
    tmp_path: Path, target: str, first: str
) -> None:
    writer = open_sequence(tmp_path / target)
    fill(writer, frames(12))
    assert writer.files[0] == tmp_path / first
    assert writer.frames_written == len(writer.files) == 12
    found = list(read_sequence(tmp_path / target))
    assert len(found) == 12
    if first.endswith(".png"):
        for sent, got in zip(frames(12), found, strict=True):
            np.testing.assert_array_equal(got, sent)


def test_a_folder_is_read_by_number_and_holds_other_things(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        write_image(tmp_path / f"f{number}.png", np.full((2, 2, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    with ImageSequenceReader(tmp_path, "12.5") as reader:
        assert (reader.width, reader.height, reader.frame_count) == (2, 2, 4)
        assert reader.duration_seconds == Fraction(8, 25)
        read = [(frame.image[0, 0, 0], frame.pts_seconds) for frame in reader]
    assert read == [(1, 0), (9, Fraction(2, 25)), (10, Fraction(4, 25)), (100, Fraction(6, 25))]


@pytest.mark.parametrize(
    "target", ["%d_%d.png", "%s.png", "%5d.png", "%x.png", "100%.png", "%d/a.png", "%d%.png"]
)
def test_unsafe_patterns_are_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(InputError, match="%"):
        open_sequence(tmp_path / target)


def test_a_still_is_one_frame(tmp_path: Path) -> None:
    fill(open_sequence(tmp_path / "still.png"), frames(1))
    np.testing.assert_array_equal(read_image(tmp_path / "still.png"), frames(1)[0])
    with pytest.raises(InputError, match=r"'two_%05d.png' or a folder"):
        fill(open_sequence(tmp_path / "two.png"), frames(2))
    assert not (tmp_path / "two.png").exists()


@pytest.mark.parametrize("target", ["new", "%d.png", "still.png"])
def test_no_frames_is_an_error_and_leaves_nothing(tmp_path: Path, target: str) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        fill(open_sequence(tmp_path / target), [])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_keeps_what_is_finished_and_says_which(tmp_path: Path) -> None:
    writer = open_sequence(tmp_path / "new")
    with pytest.raises(KeyboardInterrupt):
        fill(writer, frames(3), interrupt)
    assert len(list((tmp_path / "new").iterdir())) == 3
    assert "3 finished pictures" in writer.notes[0]
    assert "00002.png" in writer.notes[0]
    still = open_sequence(tmp_path / "still.png")
    with pytest.raises(KeyboardInterrupt):
        fill(still, frames(1), interrupt)
    assert (tmp_path / "still.png").exists()


def test_existing_pictures_are_left_alone(tmp_path: Path) -> None:
    fill(open_sequence(tmp_path / "%d.png"), frames(5))
    with pytest.raises(OutputExistsError, match=r"0\.png' exists already"):
        open_sequence(tmp_path / "%d.png")
    with pytest.raises(OutputExistsError):
        open_sequence(tmp_path / "3.png")
    writer = open_sequence(tmp_path / "%d.png", overwrite=True)
    fill(writer, frames(2))
    assert writer.notes == ("3 older pictures beyond these were left in place",)


def test_an_existing_picture_further_on_is_found_before_work_starts(tmp_path: Path) -> None:
    write_image(tmp_path / "00007.png", frames(1)[0])
    with pytest.raises(OutputExistsError, match="00007"):
        open_sequence(tmp_path)


@pytest.mark.parametrize(
    ("target", "message"),
    [("no/new", "create it first"), ("no/%d.png", "create it first"), ("a.tga", "found")],
)
def test_places_that_cannot_be_written(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_sequence(tmp_path / target)


def test_sizes_must_agree(tmp_path: Path) -> None:
    writer = open_sequence(tmp_path / "%d.png")
    with pytest.raises(InputError, match=r"\(6, 8, 3\).*found shape \(6, 9, 3\)"):
        fill(writer, [np.zeros((6, 9, 3), np.uint8)])
    write_image(tmp_path / "0.png", np.zeros((6, 8, 3), np.uint8))
    write_image(tmp_path / "1.png", np.zeros((6, 9, 3), np.uint8))
    with pytest.raises(InputError, match=r"1\.png' is 9x6; expected 8x6"):
        list(read_sequence(tmp_path))


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "%d.png", tmp_path / "a.png"):
        with pytest.raises(InputError, match="found none"):
            list(read_sequence(source))
