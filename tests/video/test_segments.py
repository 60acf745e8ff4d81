"""Videos in segments: what survives, and that the joined file is one written in one go."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.segmented import (
    EACH,
    FRAMES,
    KINDS,
    StopError,
    described,
    frames,
    names,
    packets_of,
    plainly,
    read,
    segmented,
    sound,
    write,
)
from video import (
    InputError,
    OutputExistsError,
)
from video.encoding import StreamEncoder


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_the_joined_video_is_one_that_was_written_in_one_go(
    name: str, codec: str, tmp_path: Path
) -> None:
    images, rate = frames(), "30000/1001"
    noted = write(tmp_path / name, images, codec=codec, rate=rate)
    assert noted == [8, 16, 24, 32, 34]
    plain = plainly(tmp_path / f"plain{Path(name).suffix}", images, codec=codec, rate=rate)
    made, made_times = read(tmp_path / name)
    expected, expected_times = read(plain)
    assert made_times == expected_times
    assert len(made) == FRAMES
    for one, other in zip(made, expected, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 6
    ours, theirs = described(tmp_path / name), described(plain)
    assert ours == theirs
    assert packets_of(tmp_path / name)[-1].duration == packets_of(plain)[-1].duration


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_packets_are_those_of_the_segments_in_an_order_that_can_be_decoded(
    name: str, codec: str, tmp_path: Path
) -> None:
    write(tmp_path / name, frames(), codec=codec)
    segments = [tmp_path / "segments" / each for each in names(tmp_path / "segments")]
    copied = packets_of(tmp_path / name)
    expected = [packet for segment in segments for packet in packets_of(segment)]
    assert [bytes(packet) for packet in copied] == [bytes(packet) for packet in expected]
    decoded = [packet.dts for packet in copied if packet.dts is not None]
    assert decoded == sorted(set(decoded))
    assert all(packet.dts is None or packet.dts <= packet.pts for packet in copied)
    assert all(packet.is_keyframe for packet in copied[::EACH])
    images = [image for segment in segments for image in read(segment)[0]]
    np.testing.assert_array_equal(read(tmp_path / name)[0], images)
    if codec in ("h264", "h265"):
        shown = [packet.pts for packet in copied]
        assert shown != sorted(shown), "there are no B-frames to get wrong"
    if name.endswith((".mp4", ".mov")):
        data = (tmp_path / name).read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_two_runs_make_what_one_run_makes(name: str, codec: str, tmp_path: Path) -> None:
    images = frames()
    (tmp_path / "once").mkdir()
    write(tmp_path / "once" / name, images, codec=codec)
    for stop, first, there in ((StopError(), 0, 21), (KeyboardInterrupt(), 2, 29)):
        with pytest.raises(type(stop)):
            write(tmp_path / name, images[:there], codec=codec, stop=stop, first_segment=first)
        assert not (tmp_path / name).exists()
    suffix = Path(name).suffix
    assert names(tmp_path / "segments") == [f"{number:05d}{suffix}" for number in range(3)]
    for left in (f"00003.part{suffix}", f"00004.part2{suffix}", f"00003{suffix}", f"mine{suffix}"):
        (tmp_path / "segments" / left).write_text("half of it")
    assert write(tmp_path / name, images, codec=codec, first_segment=3) == [32, 34]
    assert (tmp_path / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    assert names(tmp_path / "segments") == [
        *(f"{number:05d}{suffix}" for number in range(5)),
        f"mine{suffix}",
    ]


def test_a_length_that_ends_with_a_segment_and_one_of_a_single_frame(tmp_path: Path) -> None:
    for count in (1, EACH, 2 * EACH):
        path = tmp_path / f"{count}.mp4"
        write(path, frames(count=count))
        assert len(read(path)[0]) == count


def test_odd_sizes_are_told_and_come_back_true(tmp_path: Path) -> None:
    images = frames(width=95, height=63, count=10)
    plain = plainly(tmp_path / "plain.mp4", images)
    write(tmp_path / "a.mp4", images)
    assert described(tmp_path / "a.mp4") == described(plain)
    assert described(plain)["metadata"]["comment"] == "true size 95x63"
    assert read(tmp_path / "a.mp4")[0][0].shape == (63, 95, 3)
    with segmented(tmp_path / "b.mp4", tmp_path / "segments", (95, 63), segment_frames=9) as writer:
        assert "was padded to 96x64" in writer.notes[0]
        writer.write(images[0])
    assert writer.kept_part is None


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_sound_goes_along_as_with_one_writer(name: str, tmp_path: Path) -> None:
    options = {"audio": sound(tmp_path / "a.wav"), "rate": "30000/1001"}
    images = frames()
    write(tmp_path / name, images, **options)
    plain = plainly(tmp_path / f"plain{Path(name).suffix}", images, **options)
    ours, theirs = packets_of(tmp_path / name, "audio"), packets_of(plain, "audio")
    assert [bytes(packet) for packet in ours] == [bytes(packet) for packet in theirs]
    assert [packet.pts for packet in ours] == [packet.pts for packet in theirs]
    end = float((ours[-1].pts + ours[-1].duration) * ours[-1].time_base)
    assert abs(end - FRAMES * 1001 / 30000) < 0.1
    once = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    write(tmp_path / name, images, first_segment=2, **options)
    assert (tmp_path / name).read_bytes() == once


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.gif", {}, r"segments can be joined into; found 'a\.gif'"),
        ("a.webp", {}, r"expected .mp4, .mov, .mkv, .webm, which"),
        ("a.webm", {"codec": "h264"}, "goes into .mp4, .mov, .mkv; found"),
        ("a.mp4", {"codec": "nonsense"}, "expected a codec out of"),
        ("a.mkv", {"codec": "av1", "lossless": True}, "cannot be lossless"),
        ("a.mp4", {"crf": 99}, "crf from 0"),
        ("a.mp4", {"rate": 0}, "expected a frame rate"),
        ("a.mp4", {"audio": "missing.wav"}, "at 'missing.wav'; found no such file"),
        ("a.mp4", {"segment_frames": 0}, "at least 1 frame in a segment.*found 0"),
        ("a.mp4", {"first_segment": -1}, "found 8 and -1"),
        ("a.mp4", {"first_segment": 1}, r"00000\.mp4' is missing: begin anew"),
        ("no/a.mp4", {"folder": Path(".")}, "no folder"),
        ("a.mp4", {"folder": Path("missing")}, "found none at missing"),
    ],
)
def test_what_is_refused_before_work_starts(
    name: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "segments").mkdir()
    wanted = {"folder": tmp_path / "segments", **options}
    with pytest.raises(InputError, match=message) as caught:
        segmented(tmp_path / name, size=(64, 48), **wanted)
    assert len(str(caught.value)) < 270
    assert names(tmp_path) == ["segments"]
    assert not names(tmp_path / "segments")


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        write(path, frames(count=3))
    assert path.read_text() == "mine"
    write(path, frames(count=3), overwrite=True)
    assert len(read(path)[0]) == 3


def test_a_file_that_appears_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appear(*args: object) -> None:
        (tmp_path / "a.mp4").write_text("mine")

    def check() -> None:
        assert (tmp_path / "a.mp4").read_text() == "mine"
        assert names(tmp_path) == ["a.mp4", "segments"]
        assert names(tmp_path / "segments") == ["00000.mp4"]
        (tmp_path / "a.mp4").unlink()

    with pytest.raises(OutputExistsError, match="exists already"):
        write(tmp_path / "a.mp4", frames(count=3), on_segment=appear)
    check()
    monkeypatch.setattr("video.joining.sync_file", appear)
    with pytest.raises(OutputExistsError, match=r"appeared.*the segments are left too"):
        write(tmp_path / "a.mp4", frames(count=3))
    check()


def test_nothing_is_told_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr("video.segments.sync_file", lambda path: steps.append(path.name))
    monkeypatch.setattr("video.segments.sync_folder", lambda path: steps.append(path.name))
    monkeypatch.setattr("video.joining.sync_file", lambda path: steps.append(path.name))
    monkeypatch.setattr("video.joining.sync_folder", lambda path: steps.append("folder"))
    write(
        tmp_path / "a.mkv", frames(64, 48, 9), codec="ffv1",
        on_segment=lambda frames: steps.append(str(frames)),
    )  # fmt: skip
    first, second = ["00000.mkv", "segments", "8"], ["00001.mkv", "segments", "9"]
    assert steps == [*first, *second, "a.part.mkv", "folder"]


def test_an_interrupt_in_the_last_frame_of_a_segment_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = StreamEncoder.encode

    def interrupted(self: StreamEncoder, image: NDArray[np.uint8], index: int) -> object:
        if index == EACH - 1:
            signal.raise_signal(signal.SIGINT)
        return encode(self, image, index)

    monkeypatch.setattr(StreamEncoder, "encode", interrupted)
    noted: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.mp4", frames(), on_segment=noted.append)
    assert noted == [EACH]
    assert names(tmp_path / "segments") == ["00000.mp4"]


def test_a_journal_that_fails_stops_the_run(tmp_path: Path) -> None:
    def fail(done: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        write(tmp_path / "a.mp4", frames(), on_segment=fail)
    assert names(tmp_path) == ["segments"]


def test_what_cannot_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    told: list[int] = []
    with pytest.raises(StopError):
        write(path, frames(), stop=StopError())
    kept = names(tmp_path / "segments")
    assert len(kept) == 4
    with pytest.raises(InputError, match=r"size is 64x48; '.*00003.mp4' has 192x128"):
        write(path, frames(64, 48), first_segment=4)
    with pytest.raises(InputError, match=r"codec is hevc; .* has h264: go on as it was begun"):
        write(path, frames(), first_segment=4, codec="h265")
    with pytest.raises(
        InputError, match=r"expected 25 frames per second in '.*00003.mp4'; found 24"
    ):
        write(path, frames(), first_segment=4, rate=25)
    with pytest.raises(InputError, match=r"segments of 3 frames; .* holds 8"):
        write(path, frames(), first_segment=4, segment_frames=3)
    with pytest.raises(InputError, match=r"00004.mp4' to be yuv420p, .*found gbrp"):
        write(path, frames(count=50), first_segment=4, lossless=True, on_segment=told.append)
    assert not told, "found out at the first segment, not at the end"
    assert names(tmp_path / "segments")[:4] == kept
    (tmp_path / "segments" / kept[1]).unlink()
    with pytest.raises(InputError, match=r"00001\.mp4' is missing: begin anew"):
        write(path, frames(), first_segment=4)
    damaged = tmp_path / "segments" / kept[3]
    damaged.write_bytes(damaged.read_bytes()[:-200])
    (tmp_path / "segments" / kept[1]).write_bytes(b"")
    with pytest.raises(InputError, match=r"00003\.mp4"):
        write(path, frames(), first_segment=4)
    assert not path.exists()


def test_nothing_follows_the_last_segment(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", frames(count=11))
    noted = write(tmp_path / "b.mp4", frames(count=0), first_segment=2, frames_there=11)
    assert noted == []
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with pytest.raises(InputError, match=r"cannot follow '.*00001.mp4', which has fewer"):
        write(tmp_path / "c.mp4", frames(count=20), first_segment=2, frames_there=11)


def test_a_closed_writer_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at least one frame for '.*a.mp4'; found none"):
        write(tmp_path / "a.mp4", frames(count=0))
    assert not names(tmp_path / "segments")
    writer = segmented(tmp_path / "a.mp4", tmp_path / "segments", (64, 48), segment_frames=2)
    with writer:
        writer.write(frames(64, 48, 1)[0])
    with pytest.raises(InputError, match="is closed; no frame can follow"):
        writer.write(frames(64, 48, 1)[0])
