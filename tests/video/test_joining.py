"""Joining videos: what fits together, what does not, and what is left when it fails."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from video import InputError, OutputExistsError, VideoReader, VideoWriter, join_segments
from video.packets import read_segment


def images(width: int, height: int, count: int) -> list[NDArray[np.uint8]]:
    """A wave that moves."""
    y, x = np.mgrid[:height, :width]
    return [
        np.stack([(x * 5 + number * 9) % 256, (y * 7) % 256, x % 256], axis=-1).astype(np.uint8)
        for number in range(count)
    ]


def video(path: Path, *, count: int = 6, **options: object) -> Path:
    wanted = {"width": 64, "height": 64, "rate": 24, "overwrite": True, **options}
    with VideoWriter(path, **wanted) as writer:
        for image in images(wanted["width"], wanted["height"], count):
            writer.write(image)
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("rate", [24, "24000/1001", "7/3", 900])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "ffv1"), ("mkv", "h265"), ("webm", "vp9"), ("webm", "av1")]
)
def test_a_single_segment_is_copied_to_the_byte(
    suffix: str, codec: str, rate: object, tmp_path: Path
) -> None:
    if codec == "av1" and rate == 900:
        pytest.skip("the encoder takes at most 240 frames per second")
    first = video(tmp_path / f"0.{suffix}", codec=codec, rate=rate)
    joined = join_segments([first], tmp_path / f"a.{suffix}", rate=rate)
    assert joined.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("lossless", [False, True])
def test_vp9_in_mp4_says_where_its_chroma_is(tmp_path: Path, lossless: bool) -> None:
    first = video(tmp_path / "0.mp4", codec="vp9", lossless=lossless)
    joined = join_segments([first], tmp_path / "a.mp4", rate=24)
    one, other = first.read_bytes(), joined.read_bytes()
    start = one.index(b"vpcC")
    assert one[start : start + 16] == other[start : start + 16]


def test_segments_of_different_lengths(tmp_path: Path) -> None:
    lengths = (1, 5, 2, 1, 9)
    parts = [video(tmp_path / f"{n}.mp4", count=count) for n, count in enumerate(lengths)]
    with VideoReader(join_segments(parts, tmp_path / "a.mp4", rate=24)) as reader:
        assert [frame.pts_seconds for frame in reader] == [Fraction(n, 24) for n in range(18)]
        assert reader.frame_count == 18
        assert reader.duration_seconds == Fraction(18, 24)


@pytest.mark.parametrize(
    ("name", "first", "other", "message"),
    [
        ("mp4", {}, {"width": 66}, "size of '.*1.mp4' to be 64x64, as of '.*0.mp4'; found 66x64"),
        ("mp4", {}, {"codec": "h265"}, "codec of '.*1.mp4' to be h264, .*; found hevc"),
        ("mp4", {}, {"lossless": True}, "format of '.*1.mp4' to be yuv420p, .*; found gbrp"),
        ("mp4", {}, {"rate": 25}, r"expected 24 frames per second in '.*1\.mp4'; found 25"),
        ("mp4", {}, {"rate": 25, "count": 1}, r"per second in '.*1\.mp4'; found 25"),
        ("mkv", {}, {"rate": "23.976", "codec": "h264"}, r"'.*1\.mkv'; found 24000/1001"),
        ("webm", {}, {"rate": "23.976"}, r"'.*1\.webm'; found 24000/1001"),
        ("mov", {}, {"codec": "prores"}, r"codec of '.*1\.mov' to be h264, .*; found prores"),
        ("mp4", {"width": 63}, {}, "note of the true size of '.*1.mp4' to be true size 63x64"),
    ],
)
def test_segments_that_do_not_fit_each_other(
    name: str, first: dict[str, object], other: dict[str, object], message: str, tmp_path: Path
) -> None:
    parts = [video(tmp_path / f"0.{name}", **first), video(tmp_path / f"1.{name}", **other)]
    with pytest.raises(InputError, match=message):
        join_segments(parts, tmp_path / f"a.{name}", rate=24)
    assert names(tmp_path) == [f"0.{name}", f"1.{name}"]


def test_another_set_up_of_the_decoder_is_refused(tmp_path: Path) -> None:
    """Two streams of one profile whose parameter sets differ cannot share one header."""

    def made(name: str, references: str) -> Path:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=24, options={"refs": references})
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for image in images(64, 64, 3):
                for packet in stream.encode(av.VideoFrame.from_ndarray(image)):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return tmp_path / name

    parts = [made("0.mp4", "2"), made("1.mp4", "5")]
    with pytest.raises(InputError, match=r"set-up of '.*1\.mp4' to be \d+ bytes \(checksum"):
        join_segments(parts, tmp_path / "a.mp4", rate=24)


@pytest.mark.parametrize(("name", "codec"), [("0.mp4", "h264"), ("0.mkv", "ffv1")])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.6, 0.97])
def test_a_segment_that_was_cut_short_is_refused(
    name: str, codec: str, kept: float, tmp_path: Path
) -> None:
    path = video(tmp_path / name, codec=codec, count=12)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=rf"'{path}'"):
        join_segments([path], tmp_path / f"a{path.suffix}", rate=24)
    assert names(tmp_path) == [name]


def test_a_picture_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = video(tmp_path / "0.mp4")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"6 frames in '.*0\.mp4'; found 5: it is not"):
        join_segments([path], tmp_path / "a.mp4", rate=24)


def retimed(path: Path, times: list[int], *, skip: int = 0) -> Path:
    """A video at 24 frames per second without its first ``skip``, at ``times`` of 1/240 second."""
    whole = video(path.with_stem("whole"), codec="vp9", count=skip + len(times))
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        stream.codec_context.framerate = Fraction(24)
        packets = [packet for packet in source.demux(video=0) if packet.size][skip:]
        for packet, time in zip(packets, times, strict=True):
            packet.time_base = Fraction(1, 240)
            packet.pts = packet.dts = time
            packet.duration = 10
            packet.stream = stream
            container.mux(packet)
    whole.unlink()
    return path


@pytest.mark.parametrize(
    ("name", "times", "skip", "message"),
    [
        ("0.mkv", [0, 10, 20], 1, r"key frame at the beginning of '.*0\.mkv'"),
        ("0.mkv", [0, 14, 20], 0, r"24 frames per second in .*; found one at 0\.058000 seconds"),
        ("0.mp4", [240, 250, 260], 0, r"the frames 0 to 2 in '.*0\.mp4', each once"),
        ("0.mkv", [0, 10, 30], 0, r"expected 4 frames in '.*0\.mkv'; found 3"),
    ],
)
def test_frames_that_are_not_those_of_a_segment(
    name: str, times: list[int], skip: int, message: str, tmp_path: Path
) -> None:
    path = retimed(tmp_path / name, times, skip=skip)
    with pytest.raises(InputError, match=message):
        join_segments([path], tmp_path / f"a{path.suffix}", rate=24)
    assert names(tmp_path) == [name]


def test_what_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    first = video(tmp_path / "0.mp4")
    with pytest.raises(InputError, match=r"expected segments to join into '.*'; found none"):
        join_segments([], tmp_path / "a.mp4", rate=24)
    with pytest.raises(InputError, match=r"joined into; found 'a\.gif'"):
        join_segments([first], tmp_path / "a.gif", rate=24)
    with pytest.raises(InputError, match=r"segments that are \.mkv too; found '.*0\.mp4'"):
        join_segments([first], tmp_path / "a.mkv", rate=24)
    with pytest.raises(InputError, match=r"1\.mp4'; found no such file"):
        join_segments([first, tmp_path / "1.mp4"], tmp_path / "a.mp4", rate=24)
    with pytest.raises(InputError, match="expected a file with sound; found none in"):
        join_segments([first], tmp_path / "a.mp4", rate=24, audio=first)
    with pytest.raises(OutputExistsError):
        join_segments([first], first, rate=24)
    assert names(tmp_path) == ["0.mp4"]


def test_lossless_segments_stay_so(tmp_path: Path) -> None:
    parts = [
        video(tmp_path / f"{n}.mkv", lossless=True, width=33, height=17, count=3) for n in (0, 1)
    ]
    with VideoReader(join_segments(parts, tmp_path / "a.mkv", rate=24)) as reader:
        found = [frame.image for frame in reader]
    np.testing.assert_array_equal(found, images(33, 17, 3) * 2)


@pytest.mark.parametrize("rate", [1, "1/7", "119.88", 240, 1000, "65535/65534"])
@pytest.mark.parametrize(
    ("name", "codec"), [("0.mp4", "h264"), ("0.mkv", "ffv1"), ("0.webm", "vp9")]
)
@pytest.mark.parametrize("count", [1, 2, 40])
def test_whole_segments_of_any_rate_are_taken_for_whole(
    name: str, codec: str, rate: object, count: int, tmp_path: Path
) -> None:
    path = video(tmp_path / name, codec=codec, rate=rate, count=count)
    assert read_segment(path, Fraction(rate if rate != "119.88" else "120000/1001")).frames == count
