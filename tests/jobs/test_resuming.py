"""Videos that were cut short and are gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.jobs.resume import resumed_video as resuming
from tests.engine.conftest import narrow_model_named
from video import VideoReader

FRAMES, EACH = 20, 6


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "_MOST_SEGMENT_FRAMES", EACH)
    monkeypatch.setattr(resuming, "_FEWEST_SEGMENT_FRAMES", EACH)


@pytest.fixture(scope="module")
def latents() -> Tensor:
    return torch.randn(FRAMES, 4, 8, 12, generator=torch.Generator().manual_seed(0))


class StopError(Exception):
    """An error that ends a run in the middle."""


def stop_after(frames: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    stream = VideoRun.tensors

    def failing(run: VideoRun, **options: object) -> Iterator[Tensor]:
        for number, frame in enumerate(stream(run, **options)):
            if number == frames:
                raise error
            yield frame

    monkeypatch.setattr(VideoRun, "tensors", failing)


def render(latents: object, out: Path, **options: object) -> ts.Rendered:
    wanted = {"model": "latent2rgb", "device": "cpu", "backend": "torch", **options}
    return ts.render(latents, out, **{"resume": True, **wanted})


@pytest.mark.parametrize(
    ("name", "remembers"),
    [("a.mp4", False), ("a.mkv", False), ("a.webm", False), ("a.mov", False), ("a.mp4", True)],
)
def test_what_was_cut_short_is_gone_on_with(
    name: str, remembers: bool, latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"model": narrow_model_named("taesdv")} if remembers else {}
    (tmp_path / "once").mkdir()
    once = render(latents, tmp_path / "once" / name, **options)
    assert once.frames == FRAMES
    out = tmp_path / name
    # In the first segment, in the second, and after two more.
    for frames, error in ((3, StopError()), (8, KeyboardInterrupt()), (13, StopError())):
        with monkeypatch.context() as patch:
            stop_after(frames, patch, error)
            with pytest.raises((StopError, ts.Interrupted)):
                render(latents, out, **options)
        assert not out.exists()
    done = render(latents, out, **options)
    assert (done.frames, done.plan.frames) == (FRAMES, FRAMES - 18)
    assert out.read_bytes() == (tmp_path / "once" / name).read_bytes()
    with VideoReader(out) as made, VideoReader(tmp_path / "once" / name) as expected:
        for one, other in zip(made, expected, strict=True):
            assert one.pts_seconds == other.pts_seconds
            np.testing.assert_array_equal(one.image, other.image)
    assert {each.name for each in tmp_path.iterdir()} == {name, "once"}


def test_every_run_takes_the_tile_of_the_first(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 16 bits another tile rounds otherwise, and what is left of a video is planned anew."""
    taken = []
    stream = VideoRun.tensors

    def noting(run: VideoRun, **options: object) -> Iterator[Tensor]:
        taken.append(run.plan.tile)
        for number, frame in enumerate(stream(run, **options)):
            if number == 8:
                raise StopError
            yield frame

    monkeypatch.setattr(VideoRun, "tensors", noting)
    for memory in ("1GiB", "6MiB"):
        with pytest.raises(StopError):
            render(latents, tmp_path / "a.mp4", memory=memory)
    assert taken == [taken[0]] * 2


def test_some_of_the_frames(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.mp4"
    with monkeypatch.context() as patch:
        stop_after(8, patch, KeyboardInterrupt())
        with pytest.raises(ts.Interrupted, match=r"6 frames are kept in .*a\.mp4\.resume; give th"):
            render(latents, out, frames=slice(2, 17), lossless=True)
    render(latents, out, frames=slice(2, 17), lossless=True)
    expected = list(ts.load("latent2rgb", device="cpu").stream(latents, frames=slice(2, 17)))
    with VideoReader(out) as reader:
        np.testing.assert_array_equal([frame.image for frame in reader], expected)


def test_only_the_joining_was_left(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.mp4"
    with monkeypatch.context() as patch:

        def fail(*args: object, **options: object) -> None:
            raise StopError

        patch.setattr("video.segments.SegmentJoin", fail)
        with pytest.raises(StopError):
            render(latents, out)
    with monkeypatch.context() as patch:
        patch.setattr(VideoRun, "tensors", fail)
        done = render(latents, out)
    assert done.frames == FRAMES
    with VideoReader(out) as reader:
        assert len(list(reader)) == FRAMES


def test_another_video_is_refused_with_the_difference(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.mp4"
    with monkeypatch.context() as patch:
        stop_after(8, patch, StopError())
        with pytest.raises(StopError):
            render(latents, out)
    sound = tmp_path / "sound.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(96000))
    other = latents.clone()
    other[-1, 3, 7, 11] += 1
    for changed, difference in (
        ((other, {}), "numbers in the latents was"),
        ((latents, {"fps": 25}), "rate was 24, now 25"),
        ((latents, {"crf": 3}), "crf was default, now 3"),
        ((latents, {"codec": "h265"}), "codec was default, now h265"),
        ((latents, {"metadata": {"title": "a"}}), "metadata was default, now title: a"),
        ((latents, {"audio": sound}), "audio was default, now "),
        ((latents, {"frames": slice(1, None)}), "frames was range(0, 20), now range(1, 20)"),
    ):
        with pytest.raises(ts.InputError, match="found another: ") as caught:
            render(changed[0], out, **changed[1])
        assert difference in str(caught.value)


def test_what_cannot_be_gone_on_with(latents: Tensor, tmp_path: Path) -> None:
    for name in ("a.gif", "a_%d.png", "a.safetensors"):
        with pytest.raises(ts.InputError, match=r"resume: expected none for .* write \.mp4 \.mov"):
            render(latents, tmp_path / name)
    with pytest.raises(ts.InputError, match="found an iterator; save them to a file"):
        render(iter(latents), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


KILLED = """
import sys, taesd_stream as ts
from taesd_stream.jobs.resume import resumed_video as resuming
resuming._MOST_SEGMENT_FRAMES = resuming._FEWEST_SEGMENT_FRAMES = 8
ts.render(sys.argv[1], sys.argv[2], model="latent2rgb", device="cpu", backend="torch", resume=True)
"""


def test_a_video_that_was_killed_and_resumed_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in the segment after the first one, and after some more."""
    latents = torch.randn(80, 4, 12, 12, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "z.npy", latents.numpy())
    monkeypatch.setattr(resuming, "_MOST_SEGMENT_FRAMES", 8)
    monkeypatch.setattr(resuming, "_FEWEST_SEGMENT_FRAMES", 8)
    render(latents, tmp_path / "once.mp4")
    out = tmp_path / "a.mp4"
    journal = tmp_path / "a.mp4.resume" / "journal.json"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "z.npy"), str(out)]
    for segments in (1, 4):
        process = subprocess.Popen(command)
        while process.poll() is None and _segments_kept(journal) < segments:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    if not out.exists():
        render(tmp_path / "z.npy", out)
    assert out.read_bytes() == (tmp_path / "once.mp4").read_bytes()


def _segments_kept(journal: Path) -> int:
    return int(json.loads(journal.read_text())["done"]) if journal.exists() else 0
