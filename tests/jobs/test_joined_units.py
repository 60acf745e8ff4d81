"""Segments are joined into a video while those behind them are still being made."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import taesd_stream as ts
from taesd_stream.engine.options import TileOptions
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.joined_units import joined_units
from taesd_stream.jobs.cluster.units import VideoUnits
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.resume.journal import Journal
from tiling import Size
from video import join_segments, open_reader, open_writer
from video.joining import SegmentJoin
from video.muxing import Muxer
from video.options import VideoOptions


def segments_in(folder: Path, lengths: tuple[int, ...]) -> list[Path]:
    parts = [folder / f"{unit:05d}.mkv" for unit in range(len(lengths))]
    for part, frames in zip(parts, lengths, strict=True):
        with open_writer(part, width=16, height=16, codec="h264") as writer:
            for level in range(frames):
                writer.write(np.full((16, 16, 3), 20 * level, np.uint8))
    return parts


def joining(tmp_path: Path, frames: int, each: int = 4) -> tuple[Output, VideoUnits]:
    output = Output(tmp_path / "a.mkv")
    job = VideoUnits(range(frames), each, TileOptions(), output, Size(16, 16), 1)
    return output, job


def test_segments_are_joined_as_soon_as_none_before_them_is_missing(tmp_path: Path) -> None:
    output, job = joining(tmp_path, 10)
    with Journal.open(output.path, {}) as journal:
        parts = segments_in(journal.folder, (4, 4, 2))
        finished = FinishedUnits(journal)
        with joined_units(output, finished, job) as hand_over:
            for unit, there in ((1, 0), (0, 2), (2, 3)):
                finished.note(unit)
                hand_over()
                assert finished.leading == there
                assert len(list(journal.folder.glob("a.part*"))) <= 1
                assert not output.path.exists()
        assert not list(journal.folder.glob("a.part*"))
        joined = join_segments(parts, tmp_path / "b.mkv", rate=24)
    assert output.path.read_bytes() == joined.read_bytes()
    with open_reader(output.path) as reader:
        assert [int(frame.image.mean() / 20) for frame in reader] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("fault", ["one is missing", "one is broken", "Ctrl-C"])
def test_nothing_is_left_of_what_could_not_be_joined(tmp_path: Path, fault: str) -> None:
    output, job = joining(tmp_path, 10)
    errors = {"one is missing": ts.OutputError, "one is broken": ts.InputError}
    with Journal.open(output.path, {}) as journal:
        parts = segments_in(journal.folder, (4, 4, 2))
        finished = FinishedUnits(journal)
        if fault == "one is broken":
            parts[1].write_bytes(parts[1].read_bytes()[:300])

        def join() -> None:
            with joined_units(output, finished, job) as hand_over:
                for unit in range(3 - (fault == "one is missing")):
                    finished.note(unit)
                    hand_over()
                if fault == "Ctrl-C":
                    raise KeyboardInterrupt

        with pytest.raises(errors.get(fault, KeyboardInterrupt)):
            join()
        assert parts[2].exists()
        assert not list(journal.folder.glob("a.part*"))
    assert not output.path.exists()


def test_what_is_given_up_is_not_moved_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing an .mp4 writes all of it once more, with its index in front."""
    parts = []
    for number in range(2):
        parts.append(tmp_path / f"{number}.mp4")
        with open_writer(parts[-1], width=64, height=64, rate=24) as writer:
            for _ in range(20):
                writer.write(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    sizes: list[int] = []
    close = Muxer.close

    def looked_at(muxer: Muxer) -> None:
        sizes.extend(part.stat().st_size for part in tmp_path.glob("a.part*"))
        close(muxer)

    monkeypatch.setattr(Muxer, "close", looked_at)

    def interrupted() -> None:
        with SegmentJoin(tmp_path / "a.mp4", VideoOptions(Fraction(24))) as join:
            for part in parts:
                join.add(part)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sizes == [0]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0.mp4", "1.mp4"]
