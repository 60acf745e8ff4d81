from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taesd_stream.errors import InputError
from taesd_stream.jobs.delivery.frame_sinks import open_sink
from taesd_stream.jobs.delivery.interrupted import inode_of, kept_pictures, what_is_left
from taesd_stream.jobs.output import Output
from tiling import Size

FRAME = np.zeros((4, 6, 3), np.uint8)


def _open(out: Path, **options: object):
    return open_sink(Output(out, **options), Size(4, 6))


@pytest.mark.parametrize("name", ["a.mp4", "a.NPY", "a.png", "a_%d.png", "new folder", "a.gif"])
def test_names_that_can_be(tmp_path: Path, name: str) -> None:
    Output(tmp_path / name).check_place()


def test_a_folder_may_have_a_dot_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "v1.0").mkdir()
    Output(tmp_path / "v1.0").check_place()
    with pytest.raises(InputError, match=r"v2\.0"):
        Output(tmp_path / "v2.0")


def test_a_terminal_is_spared_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    Output("-").check_place()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(InputError, match="a terminal"):
        Output("-").check_place()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.JPEG"])
def test_one_picture_holds_one_frame(name: str) -> None:
    Output(name).check_count(1)
    Output(name).check_count(None)
    with pytest.raises(InputError, match="there are 2 frames"):
        Output(name).check_count(2)


@pytest.mark.parametrize("name", ["a.mp4", "a.webp", "a_%d.png", "a.npy", "-", "folder"])
def test_all_else_holds_many(name: str) -> None:
    Output(name).check_count(2)


@pytest.mark.parametrize("option", [{"codec": "h264"}, {"crf": 0}, {"audio": Path("a.wav")}])
def test_an_array_takes_no_options_of_a_video(tmp_path: Path, option: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(option))}: expected none for .npy"):
        _open(tmp_path / "a.npy", **option)


def test_inodes_tell_a_file_from_its_successor(tmp_path: Path) -> None:
    file, successor = tmp_path / "a", tmp_path / "b"
    assert inode_of(file) is None
    file.write_text("old")
    successor.write_text("new")
    before = inode_of(file)
    successor.replace(file)
    assert inode_of(file) not in (None, before)
    assert inode_of(tmp_path) is None
    assert inode_of(tmp_path / ("n" * 300)) is None


def test_kept_pictures_in_words(tmp_path: Path) -> None:
    with _open(tmp_path / "%d.png") as sink:
        assert kept_pictures(sink) is None
        sink.write(FRAME)
        assert kept_pictures(sink) == f"1 finished picture is kept, {tmp_path}/0.png"
        sink.write(FRAME)
        said = f"2 finished pictures are kept, {tmp_path}/0.png to {tmp_path}/1.png"
        assert kept_pictures(sink) == said
        assert what_is_left(sink, tmp_path / "%d.png", None) == said


def test_what_is_left_of_nothing(tmp_path: Path) -> None:
    assert what_is_left(None, tmp_path / "a.mp4", None) == "nothing is left behind"
    (tmp_path / "a.mp4").write_text("old")
    before = inode_of(tmp_path / "a.mp4")
    assert what_is_left(None, tmp_path / "a.mp4", before) == "nothing is left behind"
    assert what_is_left(None, "-", None) == "0 frames went to standard output"
