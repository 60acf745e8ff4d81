"""Videos that are written: every frame, its time, its colours and its size."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video.writing import NTSC, fill, names, pictures
from video import (
    InputError,
    VideoReader,
    VideoWriter,
)

TICKS = {".mp4": None, ".mov": None, ".mkv": 1000, ".webm": 1000, ".webp": 1000, ".gif": 100}


VARIANTS = [
    ("a.mp4", "h264", False),
    ("a.mov", "h264", False),
    ("a.mkv", "h264", False),
    ("a.mp4", "h265", False),
    ("a.mkv", "h265", False),
    ("a.webm", "vp9", False),
    ("a.mkv", "vp9", False),
    ("a.mp4", "av1", False),
    ("a.webm", "av1", False),
    ("a.mov", "prores", False),
    ("a.mkv", "ffv1", False),
    ("a.gif", "gif", False),
    ("a.webp", "webp", False),
    ("a.mp4", "h264", True),
    ("a.mkv", "h264", True),
    ("a.mp4", "h265", True),
    ("a.webm", "vp9", True),
    ("a.mkv", "ffv1", True),
    ("a.webp", "webp", True),
]


@pytest.mark.parametrize(("name", "codec", "lossless"), VARIANTS)
def test_every_frame_once_and_on_time(
    tmp_path: Path, name: str, codec: str, lossless: bool
) -> None:
    path = tmp_path / name
    frames = pictures(7)
    with VideoWriter(
        path, width=64, height=48, rate=NTSC, codec=codec, lossless=lossless
    ) as writer:
        for frame in frames:
            assert not path.exists()
            writer.write(frame)
        assert writer.part_path is not None
        assert writer.part_path.name == f"a.part{path.suffix}"
    assert names(tmp_path) == [name]
    assert writer.frames_written == 7
    assert (writer.part_path, writer.kept_part) == (None, None)
    with VideoReader(path) as reader:
        found = list(reader)
    assert [frame.index for frame in found] == list(range(7))
    ticks = TICKS[path.suffix]
    for index, frame in enumerate(found):
        exact = index / NTSC
        expected = exact if ticks is None else Fraction(round(exact * ticks), ticks)
        assert frame.pts_seconds == expected
    if lossless or codec == "ffv1":
        for sent, got in zip(frames, found, strict=True):
            np.testing.assert_array_equal(got.image, sent)


@pytest.mark.parametrize("rate", [NTSC, Fraction(25, 2), Fraction(60), Fraction(30000, 1001)])
def test_rate_and_count_are_in_the_file(tmp_path: Path, rate: Fraction) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, rate=rate) as writer:
        for frame in pictures(5, 32, 32):
            writer.write(frame)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert reader.rate == rate
        assert reader.frame_count == 5
        assert reader.duration_seconds == 5 / rate
        assert [frame.pts_seconds for frame in reader] == [index / rate for index in range(5)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "h264"),
        ("a.mkv", "h264"),
        ("a.mp4", "h265"),
        ("a.webm", "vp9"),
        ("a.mp4", "av1"),
        ("a.mov", "prores"),
    ],
)
def test_colour_tags_are_in_the_file(tmp_path: Path, name: str, codec: str) -> None:
    with VideoWriter(tmp_path / name, width=32, height=32, rate=24, codec=codec) as writer:
        writer.write(pictures(1, 32, 32)[0])
    with av.open(str(tmp_path / name)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        if codec == "prores":
            assert b"colrnclc\0\1\0\1\0\1" in (tmp_path / name).read_bytes()
        else:
            assert tags == (1, 1, 1)
        # ProRes is limited by definition; FFmpeg 8.0 leaves it at that, 8.1 says so.
        assert context.color_range == 1 or (codec == "prores" and context.color_range == 0)
        frame = next(container.decode(video=0))
        assert frame.colorspace == 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_the_index_comes_before_the_pictures(tmp_path: Path, name: str) -> None:
    with VideoWriter(tmp_path / name, width=32, height=32, rate=24) as writer:
        writer.write(pictures(1, 32, 32)[0])
    data = (tmp_path / name).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("codec", ["h265", "hevc"])
def test_hevc_is_tagged_for_apple_players(tmp_path: Path, codec: str) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, rate=24, codec=codec) as writer:
        writer.write(pictures(1, 32, 32)[0])
    assert b"hvc1" in (tmp_path / "a.mp4").read_bytes()


@pytest.mark.parametrize("count", [1, 2])
def test_hevc_of_one_or_two_frames_has_times_that_can_be(tmp_path: Path, count: int) -> None:
    """x265 reads its decoding times from memory never set here, so it takes some tries to see."""
    for attempt in range(8):
        path = tmp_path / f"{attempt}.mp4"
        fill(VideoWriter(path, width=64, height=48, rate=24, codec="h265"), pictures(count))
        with VideoReader(path) as reader:
            assert [frame.pts_seconds for frame in reader] == [Fraction(0), Fraction(1, 24)][:count]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is asked to look at its heap")
def test_hevc_of_any_width_leaves_memory_alone(tmp_path: Path) -> None:
    """x265 writes past its buffers at these widths on processors with AVX2."""
    code = """
        import sys
        import numpy as np
        from video import open_writer

        for width in (36, 40, 46, 48):
            path = f"{sys.argv[1]}/{width}.mp4"
            with open_writer(path, width=width, height=40, codec="h265") as writer:
                for level in (0, 90, 180):
                    writer.write(np.full((40, width, 3), level, np.uint8))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    heap = {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "7"}
    assert subprocess.run(command, env=os.environ | heap, check=False).returncode == 0


@pytest.mark.parametrize("size", [(33, 17), (33, 18), (34, 17), (1, 1)])
@pytest.mark.parametrize(
    ("name", "codec", "padded"),
    [
        ("a.mp4", "h264", True),
        ("a.mkv", "h264", True),
        ("a.webm", "vp9", False),
        ("a.mp4", "av1", False),
        ("a.mov", "prores", True),
        ("a.gif", "gif", False),
        ("a.webp", "webp", False),
    ],
)
def test_odd_sizes_come_back_true(
    tmp_path: Path, name: str, codec: str, padded: bool, size: tuple[int, int]
) -> None:
    width, height = size
    if codec == "av1" and size == (1, 1):
        pytest.skip("the encoder refuses pictures this small")
    image = np.full((height, width, 3), 90, np.uint8)
    with VideoWriter(tmp_path / name, width=width, height=height, rate=24, codec=codec) as writer:
        writer.write(image)
        assert writer.size == size
        even = (width + width % 2, height + height % 2)
        assert writer.coded_size == (even if padded else size)
        assert bool(writer.notes) == padded
        if padded:
            assert f"{width}x{height} was padded to {even[0]}x{even[1]}" in writer.notes[0]
    with VideoReader(tmp_path / name) as reader:
        assert (reader.width, reader.height) == size
        frame = next(iter(reader))
        assert frame.image.shape == (height, width, 3)
        assert np.abs(frame.image.astype(int) - 90).max() <= 3
    if padded:
        with av.open(str(tmp_path / name)) as container:
            kept = {key.lower(): value for key, value in container.metadata.items()}
            assert kept["comment"] == f"true size {width}x{height}"


def test_hardware_that_is_missing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        VideoWriter(tmp_path / "a.mp4", width=64, height=64, rate=24, codec="h264_videotoolbox")
    message = str(caught.value)
    assert "no encoder opens here for 64x64" in message
    assert "h264_videotoolbox (not in this build of FFmpeg)" in message
    assert message.endswith("use codec 'h264' instead")
    assert names(tmp_path) == []


@pytest.mark.parametrize("codec", ["h264_hw", "h265_hw", "av1_hw", "hevc_nvenc"])
def test_hardware_encodes_or_says_what_was_tried(tmp_path: Path, codec: str) -> None:
    refusal = ""
    try:
        writer = VideoWriter(tmp_path / "a.mp4", width=256, height=256, rate=24, codec=codec)
    except InputError as error:
        refusal = str(error)
    if refusal:
        assert "tried " in refusal
        assert "\n" not in refusal
        assert names(tmp_path) == []
        return
    with writer:
        writer.write(np.full((256, 256, 3), 90, np.uint8))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert np.abs(next(iter(reader)).image.astype(int) - 90).mean() < 2
