"""Ctrl-C and its like, sent to a real process in the middle of its work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from taesd_stream.cli.signals import ends_as_interrupts, ends_at_once
from video import read_image

MODEL = ("--model", "latent2rgb")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Latents enough for a minute, of 32x16 pixels."""
    path = tmp_path_factory.mktemp("long") / "z.npy"
    np.save(path, np.zeros((100_000, 4, 2, 4), np.float16))
    return path


def end(source: Path, out: Path, number: int, *, after_seconds: float, words=()) -> tuple[int, str]:
    """Start a decode, send it a signal some time after it began; its status and last words."""
    process = subprocess.Popen(
        [sys.executable, "-m", "taesd_stream", "decode", source, out, *MODEL, *words],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert process.stderr is not None
    with process:
        while not process.stderr.readline().startswith("decode "):
            assert process.poll() is None
        time.sleep(after_seconds)
        process.send_signal(number)
        out_words, words_left = process.communicate(timeout=60)
    assert out_words == ""
    assert words_left.count("\n") == 1, words_left
    return process.returncode, words_left.strip()


def test_ctrl_c_leaves_a_video_that_plays(long_clip: Path, tmp_path: Path) -> None:
    status, words = end(long_clip, tmp_path / "a.mp4", signal.SIGINT, after_seconds=0.5)
    assert status == 130
    part = tmp_path / "a.part.mp4"
    found = re.search(rf": interrupted; the first (\d+) frames are in {part}, which can", words)
    assert found, words
    with av.open(str(part)) as container:
        assert sum(1 for _ in container.decode(video=0)) == int(found[1]) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.part.mp4"]


def test_sigterm_leaves_an_array_that_opens(long_clip: Path, tmp_path: Path) -> None:
    status, words = end(long_clip, tmp_path / "a.npy", signal.SIGTERM, after_seconds=0.5)
    assert status == 128 + signal.SIGTERM
    part = tmp_path / "a.part.npy"
    found = re.search(rf": interrupted; the first (\d+) frames are in {part}, which can", words)
    assert found, words
    assert np.load(part).shape == (int(found[1]), 16, 32, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["a.part.npy"]


def test_ctrl_c_keeps_finished_pictures(long_clip: Path, tmp_path: Path) -> None:
    status, words = end(long_clip, tmp_path / "p", signal.SIGINT, after_seconds=0.5)
    assert status == 130
    pictures = sorted((tmp_path / "p").iterdir())
    first, last = pictures[0], pictures[-1]
    kept = f"{len(pictures)} finished pictures are kept, {first} to {last}"
    assert words == f"taesd-video: interrupted; {kept}"
    assert last.name == f"{len(pictures) - 1:05d}.png"
    assert {read_image(path).shape for path in (first, last)} == {(16, 32, 3)}


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    np.save(tmp_path / "large.npy", np.zeros((1, 4, 700, 700), np.float32))
    status, words = end(
        tmp_path / "large.npy", folder / "a.mp4", signal.SIGINT,
        after_seconds=0, words=["--tile", "8"],
    )  # fmt: skip
    assert status == 130
    assert words == "taesd-video: interrupted; nothing is left behind"
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_modules_are_loaded_ends_at_once(number: signal.Signals) -> None:
    """Even where what is loaded catches everything."""
    program = f"""
import signal
from taesd_stream.cli.signals import ends_at_once
with ends_at_once():
    try:
        signal.raise_signal({int(number)})
    except:
        pass
print("still here")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == "taesd-video: interrupted\n"


def test_modules_are_loaded_where_signals_end_at_once(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing the commands is what takes long."""
    handlers = []

    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "taesd_stream.cli.commands":
                handlers.extend(map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)))

    monkeypatch.delitem(sys.modules, "taesd_stream.cli.commands", raising=False)
    monkeypatch.delattr("taesd_stream.cli.commands", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert command("models").status == 0
    assert [handler.__name__ for handler in handlers] == ["leave", "leave"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_program_are_interrupts(number: signal.Signals) -> None:
    came: list[int] = []
    with ends_as_interrupts(came), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert came == [number]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_sigterm_ends_what_ignores_ctrl_c() -> None:
    """A shell starts background jobs that way."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ends_as_interrupts([]), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_ignored_stays_ignored() -> None:
    """As nohup asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        came: list[int] = []
        with ends_at_once(), ends_as_interrupts(came):
            signal.raise_signal(signal.SIGHUP)
        assert came == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
