"""Recordings: what plays while they are written, and that they are plain videos in the end."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.video.segmented import KINDS, Frames, StopError, described, frames, names, plainly, read
from video import InputError, OutputError, OutputExistsError, VideoOptions
from video.recording import RecordingWriter

COUNT = 5


def small_frames() -> Frames:
    return frames(width=64, height=32, count=COUNT)


def recording(path: Path, *, is_timed: bool = False, **options: object) -> RecordingWriter:
    wanted = VideoOptions(Fraction(24), **options)
    return RecordingWriter(path, width=64, height=32, options=wanted, is_timed=is_timed)


def write(writer: RecordingWriter, images: Frames, error: BaseException | None = None) -> None:
    with writer:
        for image in images:
            writer.write(image)
        if error is not None:
            raise error


@pytest.mark.parametrize(("name", "codec"), KINDS)
def test_a_recording_plays_after_every_frame_and_becomes_a_plain_video(
    name: str, codec: str, tmp_path: Path
) -> None:
    images, path = small_frames(), tmp_path / name
    killed = tmp_path / f"killed{path.suffix}"
    with recording(path, codec=codec) as writer:
        for count, image in enumerate(images, start=1):
            writer.write(image)
            killed.write_bytes(writer.part_path.read_bytes())
            played, times = read(killed)
            assert len(played) == count
            assert times == [pytest.approx(number / 24, abs=5e-4) for number in range(count)]
    plain = plainly(tmp_path / f"plain{path.suffix}", images, codec=codec)
    made, times = read(path)
    assert times == read(plain)[1]
    np.testing.assert_array_equal(made, played)
    ours, theirs = described(path), described(plain)
    for each in (ours, theirs):  # which B-frames have a part in
        del each["extradata"], each["duration"]
    assert ours == theirs
    assert names(tmp_path) == sorted([name, killed.name, plain.name])
    if path.suffix in (".mp4", ".mov"):
        data = path.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")
        assert b"moof" not in data


@pytest.mark.parametrize(("name", "tick"), [("a.mp4", 90_000), ("a.mkv", 1000), ("a.webm", 1000)])
def test_frames_have_times_of_their_own(name: str, tick: int, tmp_path: Path) -> None:
    given = [Fraction(0), Fraction(1, 90), Fraction(1, 90), Fraction(7, 5), Fraction(3700)]
    with recording(tmp_path / name, is_timed=True) as writer:
        for image, at in zip(small_frames(), given, strict=True):
            writer.write(image, at)
        with pytest.raises(InputError, match="the time of a frame"):
            writer.write(small_frames()[0])
    ticks = [round(at * tick) for at in given]
    ticks[2] += 1  # no two frames have the same time
    assert read(tmp_path / name)[1] == [Fraction(each, tick) for each in ticks]


_RECORDS = """
import itertools, sys, time
from fractions import Fraction
import numpy as np
from video import RecordingWriter, VideoOptions

options = VideoOptions(Fraction(24), crf=0)
with RecordingWriter(sys.argv[1], width=64, height=32, options=options) as writer:
    for number in itertools.count():
        writer.write(np.full((32, 64, 3), 10 * min(number, 10), np.uint8))
        if number == 9:
            print("ten", flush=True)
        elif number > 9:
            time.sleep(0.001)
"""


def test_a_process_that_is_killed_leaves_what_plays_up_to_the_newest_frame(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RECORDS, tmp_path / "a.mp4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ten\n"
        process.kill()
    assert names(tmp_path) == ["a.part.mp4"]
    levels = [float(image.mean()) for image in read(tmp_path / "a.part.mp4")[0]]
    assert len(levels) >= 10
    expected = [10 * min(number, 10) for number in range(len(levels))]
    np.testing.assert_allclose(levels, expected, atol=1)


@pytest.mark.parametrize("error", [StopError(), KeyboardInterrupt()])
def test_what_is_there_stays_when_the_block_fails(error: BaseException, tmp_path: Path) -> None:
    writer = recording(tmp_path / "a.mp4")
    with pytest.raises(type(error)):
        write(writer, small_frames()[:0], error)
    assert writer.kept_part is None
    assert names(tmp_path) == []
    writer = recording(tmp_path / "a.mp4")
    with pytest.raises(type(error)):
        write(writer, small_frames()[:3], error)
    assert names(tmp_path) == ["a.part.mp4"]
    assert writer.notes == (f"kept: '{tmp_path / 'a.part.mp4'}' (3 frames)",)
    assert len(read(writer.kept_part)[0]) == 3
    assert b"moof" not in writer.kept_part.read_bytes()


def test_a_full_disk_leaves_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A file that takes half of what comes after the third packet."""

        def __init__(self, file: object) -> None:
            self.file, self.taken = file, []

        def write(self, data: memoryview) -> int:
            if len(self.taken) == 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            is_last = len(self.taken) == 2
            self.taken.append(self.file.write(data[: len(data) // 2] if is_last else data))
            return self.taken[-1]

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    writer = recording(tmp_path / "a.mp4")
    writer._fragments._file = Full(writer._fragments._file)
    with pytest.raises(OutputError, match="no room"):
        write(writer, small_frames())
    assert names(tmp_path) == ["a.part.mp4"]
    assert writer.kept_part == tmp_path / "a.part.mp4"
    assert len(read(writer.kept_part)[0]) == writer.frames_written == 2
    assert writer.kept_part.stat().st_size == sum(writer._fragments._file.taken[:2])

    writer = recording(tmp_path / "b.mp4")

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("video.recording.sync_file", full)
    with pytest.raises(OutputError, match="no room"):
        write(writer, small_frames()[:1])
    assert names(tmp_path) == ["a.part.mp4", "b.part.mp4"]
    assert len(read(writer.kept_part)[0]) == 1


def test_the_disk_is_waited_for_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[float] = []
    with recording(tmp_path / "a.mp4") as writer:
        now = writer._fragments._synced
        monkeypatch.setattr(writer._fragments, "_clock", lambda: now)
        monkeypatch.setattr(os, "fsync", lambda file: synced.append(now))
        begun = now
        for image, seconds in zip(small_frames(), (0.5, 1.1, 1.9, 2.2, 3.3), strict=True):
            now = begun + seconds
            writer.write(image)
        assert [round(each - begun, 1) for each in synced] == [1.1, 2.2, 3.3]


def test_what_a_recording_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.gif"):
        recording(tmp_path / "a.gif")
    with pytest.raises(InputError, match="neither audio nor alpha"):
        recording(tmp_path / "a.mkv", codec="ffv1", alpha=True)
    with pytest.raises(InputError, match="at least one frame"):
        write(recording(tmp_path / "a.mp4"), small_frames()[:0])
    with recording(tmp_path / "a.mp4") as writer:
        with pytest.raises(InputError, match="expected a frame of shape"):
            writer.write(np.zeros((4, 4, 3), np.uint8))
        writer.write(small_frames()[0])
        (tmp_path / "a.mp4").touch()
        with pytest.raises(OutputExistsError):
            writer.close()
    assert writer.kept_part == tmp_path / "a.part.mp4"
    with pytest.raises(InputError, match="is closed"):
        writer.write(small_frames()[0])
    with pytest.raises(OutputExistsError):
        recording(tmp_path / "a.mp4")
