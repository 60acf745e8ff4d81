from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from video import (
    ImageSequenceReader,
    ImageSequenceWriter,
    InputError,
    VideoReader,
    VideoWriter,
    open_reader,
    open_writer,
    write_image,
)


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("a.mp4", VideoWriter, 3),
        ("a.MKV", VideoWriter, 3),
        ("a.gif", VideoWriter, 3),
        ("a.webp", VideoWriter, 3),
        ("a_%d.mp4", VideoWriter, 3),
        ("a_%d.webp", ImageSequenceWriter, 3),
        ("%05d.png", ImageSequenceWriter, 3),
        ("folder", ImageSequenceWriter, 3),
        ("a.png", ImageSequenceWriter, 1),
        ("a.jpg", ImageSequenceWriter, 1),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, name: str, kind: type, count: int) -> None:
    with open_writer(tmp_path / name, width=32, height=16, rate=10) as writer:
        assert isinstance(writer, kind)
        for level in range(count):
            writer.write(np.full((16, 32, 3), 60 * level, np.uint8))
        assert (writer.size, writer.coded_size, writer.notes) == ((32, 16), (32, 16), ())
    assert (writer.frames_written, writer.kept_part, writer.part_path) == (count, None, None)
    with open_reader(tmp_path / name, rate=10) as reader:
        assert isinstance(reader, VideoReader if kind is VideoWriter else ImageSequenceReader)
        assert (reader.width, reader.height) == (32, 16)
        frames = list(reader)
    assert [frame.pts_seconds for frame in frames] == [Fraction(i, 10) for i in range(count)]
    levels = [frame.image.mean() for frame in frames]
    assert np.abs(np.array(levels) - 60 * np.arange(count)).max() < 3


def test_a_still_webp_is_a_picture(tmp_path: Path) -> None:
    write_image(tmp_path / "a_%d.webp", np.zeros((4, 4, 3), np.uint8))
    write_image(tmp_path / "a.webp", np.zeros((4, 4, 3), np.uint8))
    for name in ("a.webp", "a_%d.webp"):
        with open_reader(tmp_path / name) as reader:
            assert isinstance(reader, ImageSequenceReader)
            assert len(list(reader)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "h264"}, "pictures have no codec; found codec 'h264'"),
        ({"crf": 3}, "pictures have no crf"),
        ({"audio": "a.wav"}, "pictures have no audio"),
        ({"rate": "fast"}, "found 'fast'"),
    ],
)
def test_pictures_take_no_settings_of_videos(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_writer(tmp_path / "a.png", width=4, height=4, **options)  # type: ignore[arg-type]


def test_a_stream_is_a_video() -> None:
    stream = io.BytesIO()
    with open_writer(stream, width=32, height=16) as writer:
        writer.write(np.zeros((16, 32, 3), np.uint8))
    assert stream.getvalue()[:4] == b"\x1a\x45\xdf\xa3"


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "%d.png", "folder", "a.webp"])
def test_nothing_to_read_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="found n"):
        open_reader(tmp_path / name)
