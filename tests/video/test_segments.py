"""Videos in segments: what survives, and that the joined file is one written in one go."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from video import OutputExistsError, VideoInputError, VideoReader, VideoWriter
from video.joining import join_segments
from video.segments import SegmentedWriter

# x265 writes past its memory where a picture is smaller than its blocks of 64 pixels.
WIDTH, HEIGHT, FRAMES, EACH = 96, 64, 34, 8
KINDS = [
    ("a.mp4", "h264"),
    ("a.mp4", "h265"),
    ("a.mov", "prores"),
    ("a.mkv", "h264"),
    ("a.mkv", "ffv1"),
    ("a.webm", "vp9"),
]
Frames = NDArray[np.uint8]


def frames(width: int = WIDTH, height: int = HEIGHT, count: int = FRAMES) -> Frames:
    """A pattern that moves, so that encoders find a use for B-frames."""
    y, x = np.mgrid[:height, :width]
    moving = [(x * 5 + number * 9) % 256 for number in range(count)]
    return np.stack([np.stack([m, (y * 7) % 256, m // 2], axis=-1) for m in moving]).astype(
        np.uint8
    )


class StopError(Exception):
    """What ends a run in the middle."""


def write(
    path: Path,
    images: Frames,
    *,
    stop: BaseException | None = None,
    first_segment: int = 0,
    **options: object,
) -> list[int]:
    """Write images from ``first_segment`` on; returns the counts of frames that were noted."""
    noted: list[int] = []
    folder = path.with_name("segments")
    folder.mkdir(exist_ok=True)
    wanted = {"rate": 24, "segment_frames": EACH, **options}
    with SegmentedWriter(
        path, folder=folder, width=images.shape[2], height=images.shape[1],
        first_segment=first_segment, on_segment=noted.append, **wanted,
    ) as writer:  # fmt: skip
        assert writer.frames_written == first_segment * EACH
        for image in images[first_segment * EACH :]:
            writer.write(image)
        if stop is not None:
            raise stop
    return noted


def packets_of(path: Path) -> list[tuple[Fraction, Fraction | None, bool]]:
    """When each packet is shown and decoded, and whether it is a key frame."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        return [
            (
                packet.pts * packet.time_base,
                None if packet.dts is None else packet.dts * packet.time_base,
                packet.is_keyframe,
            )
            for packet in source.demux(stream)
            if packet.size
        ]


def read(path: Path) -> tuple[list[Frames], list[Fraction]]:
    with VideoReader(path) as reader:
        found = list(reader)
    return [frame.image for frame in found], [frame.pts_seconds for frame in found]


@pytest.mark.parametrize("rate", [24, "30000/1001"])
@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_the_joined_video_is_one_that_was_written_in_one_go(
    name: str, codec: str, rate: object, tmp_path: Path
) -> None:
    images = frames()
    noted = write(tmp_path / name, images, codec=codec, rate=rate)
    assert noted == [8, 16, 24, 32, 34]
    plain = tmp_path / f"plain{Path(name).suffix}"
    with VideoWriter(plain, width=WIDTH, height=HEIGHT, rate=rate, codec=codec) as writer:
        for image in images:
            writer.write(image)
    made, made_times = read(tmp_path / name)
    expected, expected_times = read(plain)
    assert made_times == expected_times
    assert len(made) == FRAMES
    for one, other in zip(made, expected, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 6
    times = packets_of(tmp_path / name)
    decoded = [dts for _, dts, _ in times if dts is not None]
    assert decoded == sorted(set(decoded))
    with av.open(str(tmp_path / name)) as ours, av.open(str(plain)) as theirs:
        one, other = ours.streams.video[0], theirs.streams.video[0]
        for field in ("average_rate", "width", "height", "time_base", "profile"):
            assert getattr(one, field) == getattr(other, field), field
        assert abs(ours.duration - theirs.duration) <= 1000 + av.time_base / 24 * (name[-1] == "m")
        one, other = one.codec_context, other.codec_context
        for field in ("name", "pix_fmt", "color_range", "colorspace", "color_primaries",
                      "color_trc", "codec_tag"):  # fmt: skip
            assert getattr(one, field) == getattr(other, field), field


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_two_runs_make_what_one_run_makes(name: str, codec: str, tmp_path: Path) -> None:
    images = frames()
    (tmp_path / "once").mkdir()
    write(tmp_path / "once" / name, images, codec=codec)
    for stop, first, there in ((StopError(), 0, 21), (KeyboardInterrupt(), 2, 29)):
        with pytest.raises(type(stop)):
            write(tmp_path / name, images[:there], codec=codec, stop=stop, first_segment=first)
        assert not (tmp_path / name).exists()
    kept = sorted(each.name for each in (tmp_path / "segments").iterdir())
    assert kept == [f"{number:05d}{Path(name).suffix}" for number in range(3)]
    (tmp_path / "segments" / f"00003.part{Path(name).suffix}").write_text("half of it")
    assert write(tmp_path / name, images, codec=codec, first_segment=3) == [32, 34]
    made, times = read(tmp_path / name)
    expected, expected_times = read(tmp_path / "once" / name)
    assert times == expected_times
    np.testing.assert_array_equal(made, expected)
    if name.endswith((".mp4", ".mov")):
        assert (tmp_path / name).read_bytes() == (tmp_path / "once" / name).read_bytes()


def test_a_length_that_ends_with_a_segment_and_one_of_a_single_frame(tmp_path: Path) -> None:
    for count in (1, EACH, 2 * EACH):
        path = tmp_path / f"{count}.mp4"
        write(path, frames(count=count))
        assert len(read(path)[0]) == count
        for each in (tmp_path / "segments").iterdir():
            each.unlink()


def test_odd_sizes_are_told(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", frames(width=95, height=63))
    with av.open(str(tmp_path / "a.mp4")) as made:
        assert made.metadata["comment"] == "true size 95x63"
    folder = tmp_path / "segments"
    with SegmentedWriter(
        tmp_path / "b.mp4", folder=folder, width=95, height=63, rate=24, segment_frames=9
    ) as writer:
        assert "was padded to 96x64" in writer.notes[0]
        writer.write(frames(width=95, height=63)[0])


def test_sound_goes_along(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(4 * 8000 * 2))
    write(tmp_path / "a.mp4", frames(), audio=tmp_path / "a.wav")
    with av.open(str(tmp_path / "a.mp4")) as made:
        (stream,) = made.streams.audio
        assert abs(stream.duration * stream.time_base - Fraction(FRAMES, 24)) < 0.1


def test_what_cannot_be_made_of_segments(tmp_path: Path) -> None:
    with pytest.raises(VideoInputError, match=r"can be made of segments; found 'a\.gif'"):
        write(tmp_path / "a.gif", frames())
    with pytest.raises(VideoInputError, match=r"goes into .mp4, .mov, .mkv; found"):
        write(tmp_path / "a.webm", frames(), codec="h264")
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(OutputExistsError):
        write(tmp_path / "a.mp4", frames())
    assert (tmp_path / "a.mp4").read_text() == "mine"
    with pytest.raises(VideoInputError, match=r"00000\.mp4' is missing: begin anew"):
        write(tmp_path / "b.mp4", frames(), first_segment=1)


def test_segments_that_do_not_fit_each_other(tmp_path: Path) -> None:
    def video(name: str, **options: object) -> Path:
        wanted = {"width": WIDTH, "height": HEIGHT, "rate": 24, **options}
        with VideoWriter(tmp_path / name, **wanted) as writer:
            images = frames(width=wanted["width"], height=wanted["height"], count=6)
            for image in images:
                writer.write(image)
        return tmp_path / name

    first = video("0.mp4")
    for other in (video("1.mp4", width=128), video("2.mp4", codec="h265")):
        with pytest.raises(VideoInputError, match=f"'{other}' is of another codec, size"):
            join_segments([first, other], tmp_path / "a.mp4", rate=24)
    with pytest.raises(VideoInputError, match=r"3\.mp4.* is of another codec, size or setting"):
        join_segments([first, video("3.mp4", rate=25)], tmp_path / "a.mp4", rate=24)
    with pytest.raises(VideoInputError, match="expected segments to join"):
        join_segments([], tmp_path / "a.mp4", rate=24)
    (tmp_path / "4.mp4").write_bytes(first.read_bytes()[:400])
    with pytest.raises(VideoInputError, match=r"4\.mp4"):
        join_segments([first, tmp_path / "4.mp4"], tmp_path / "a.mp4", rate=24)
    assert not list(tmp_path.glob("a*.mp4"))


def test_a_failure_while_joining_leaves_the_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("video.joining._copy", full)
        with pytest.raises(OSError, match="no room"):
            write(tmp_path / "a.mp4", frames())
    assert {each.name for each in tmp_path.iterdir()} == {"segments"}
    assert write(tmp_path / "a.mp4", frames(), first_segment=4) == [34]
