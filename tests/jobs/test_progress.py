from __future__ import annotations

import contextlib
import io
import os
import pty
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.jobs.progress import FrameProgress, PictureProgress
from taesd_stream.models import variant_named
from video import write_image


class Terminal:
    """A pseudo-terminal of 100 columns, as standard error."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (30, 100))
        self.screen = os.fdopen(theirs, "w")
        self._read = b""
        self._reader = threading.Thread(target=self._drain)
        self._reader.start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):  # what a terminal says when its other end is closed
            while more := os.read(self._ours, 4096):
                self._read += more

    def shown(self) -> str:
        """Everything that was written, every state of a bar on a line of its own."""
        self.screen.close()
        self._reader.join()
        return self._read.decode().replace("\r", "\n")

    def close(self) -> None:
        self.shown()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def test_frames_made_together_count_while_they_are_made(terminal: Terminal) -> None:
    with (
        contextlib.redirect_stderr(terminal.screen),
        FrameProgress(8, shown=True, frame_area=10) as bar,
    ):
        for done in (10, 25, 40):
            bar.part(done, 40)
        assert bar.n == 4
        for _ in range(4):
            bar.frame()
        assert bar.n == 4
        bar.part(20, 40)
        assert bar.n == 6
        bar.part(40, 40)
        for _ in range(4):
            bar.frame()
        assert bar.n == 8
    assert "8/8" in terminal.shown()


def test_frames_rate_and_time_left(terminal: Terminal, tmp_path: Path) -> None:
    with contextlib.redirect_stderr(terminal.screen):
        ts.render(torch.zeros(8, 4, 2, 2), tmp_path / "a.npy", model="latent2rgb", progress=True)
    shown = terminal.shown()
    assert "| 0/8 [" in shown
    assert "100%|" in shown
    assert "| 8/8 [00:00<00:00," in shown
    assert "frame/s]" in shown


def test_the_time_left_begins_with_the_planned_one_and_is_corrected(terminal: Terminal) -> None:
    with (
        contextlib.redirect_stderr(terminal.screen),
        PictureProgress(4_000_000, shown=True, done=2_000_000, seconds=600.0) as bar,
    ):
        time.sleep(0.11)
        bar.part(4_000_000 - 2, 4_000_000)
    first, *rest = terminal.shown().strip().splitlines()
    assert first.startswith("50%|")
    assert "[00:00<05:00," in first
    assert "[00:00<00:00," in rest[-1]


def test_one_picture_advances_by_tiles(terminal: Terminal) -> None:
    with contextlib.redirect_stderr(terminal.screen), FrameProgress(1, shown=True) as bar:
        for done in (64, 128, 256):
            time.sleep(0.11)  # the bar is drawn ten times a second at most
            bar.part(done, 256)
        bar.frame()
    shown = terminal.shown()
    for share in ("  0%|", " 25%|", " 50%|", "100%|"):
        assert share in shown
    assert "frame" not in shown


def test_one_picture_is_decoded_to_100_percent(terminal: Terminal, tmp_path: Path) -> None:
    z = torch.zeros(1, 4, 12, 12)
    with contextlib.redirect_stderr(terminal.screen):
        ts.render(z, tmp_path / "a.png", model="latent2rgb", tile=4, progress=True)
    assert "100%|" in terminal.shown()


def test_one_picture_is_encoded_to_100_percent(terminal: Terminal, tmp_path: Path) -> None:
    encoder = variant_named("taesd").encoder
    assert encoder is not None
    weights = tmp_path / "taesd_encoder.pth"
    torch.save({n: torch.zeros(shape) for n, shape in encoder().shapes().items()}, weights)
    write_image(tmp_path / "a.png", np.zeros((32, 32, 3), np.uint8))
    with contextlib.redirect_stderr(terminal.screen):
        ts.encode_file(tmp_path / "a.png", tmp_path / "a.npy", model=weights, tile=2, progress=True)
    assert "100%|" in terminal.shown()


def test_how_many_need_not_be_known(terminal: Terminal, tmp_path: Path) -> None:
    latents = (torch.zeros(4, 2, 2) for _ in range(5))
    with contextlib.redirect_stderr(terminal.screen):
        ts.render(latents, tmp_path / "a.npy", model="latent2rgb", progress=True)
    shown = terminal.shown()
    assert "5frame [" in shown
    assert "%|" not in shown


def test_the_plan_has_a_line_of_its_own(terminal: Terminal, tmp_path: Path) -> None:
    with contextlib.redirect_stderr(terminal.screen):
        ts.render(
            torch.zeros(3, 4, 2, 2), tmp_path / "a.npy", model="latent2rgb", progress=True,
            on_plan=lambda plan: print(plan, file=sys.stderr),
        )  # fmt: skip
    assert terminal.shown().startswith("decode 3 frames of 16x16 pixels")


def test_the_bar_ends_its_line_before_an_error_is_told(terminal: Terminal, tmp_path: Path) -> None:
    latents = (torch.zeros(4, 2, 2) for _ in range(3))
    with contextlib.redirect_stderr(terminal.screen):
        try:
            ts.render(latents, tmp_path / "a.png", model="latent2rgb", progress=True)
        except ts.InputError:
            print("the error", file=sys.stderr)
    assert terminal.shown().endswith("]\n\nthe error\n\n")


def test_nothing_where_no_terminal_is(tmp_path: Path) -> None:
    pipe = io.StringIO()
    with contextlib.redirect_stderr(pipe):
        ts.render(torch.zeros(8, 4, 2, 2), tmp_path / "a.npy", model="latent2rgb", progress=True)
    assert pipe.getvalue() == ""


def test_nothing_unless_asked(terminal: Terminal, tmp_path: Path) -> None:
    with contextlib.redirect_stderr(terminal.screen):
        ts.render(torch.zeros(8, 4, 2, 2), tmp_path / "a.npy", model="latent2rgb")
    assert terminal.shown() == ""


def told_of(latents: torch.Tensor, out: Path, **options: object) -> list[tuple[float, float]]:
    """What ``on_progress`` was told."""
    told: list[tuple[float, float]] = []

    def on_progress(done: float, total: float | None) -> None:
        assert total is not None
        told.append((done, total))

    ts.render(latents, out, on_progress=on_progress, **options)  # type: ignore[arg-type]
    return told


def test_a_caller_is_told_of_every_tile(tmp_path: Path) -> None:
    z = torch.zeros(3, 4, 4, 4)
    told = told_of(z, tmp_path / "a.npy", model="latent2rgb", layout="TCHW")
    assert told == [(1, 3), (2, 3), (3, 3)]
    told = told_of(z, tmp_path / "b.npy", model="latent2rgb", layout="TCHW", tile=2)
    assert told == [(number / 4, 3) for number in range(1, 13)]


def test_a_caller_is_told_of_a_picture_in_bands(tmp_path: Path) -> None:
    told = told_of(torch.zeros(1, 4, 8, 4), tmp_path / "a.tif", model="latent2rgb", tile=4)
    assert told == [(pixels, 2048) for pixels in (1024, 2048)]


@pytest.mark.parametrize("out", ["a.mp4", "a.npy", "a.tif"])
def test_what_a_caller_raises_ends_the_work_and_leaves_nothing(tmp_path: Path, out: str) -> None:
    def stop(done: float, total: float | None) -> None:
        raise RuntimeError("stopped")

    latents = torch.zeros(1 if out == "a.tif" else 3, 4, 4, 4)
    with pytest.raises(RuntimeError, match="stopped"):
        ts.render(latents, tmp_path / out, model="latent2rgb", on_progress=stop)
    assert list(tmp_path.iterdir()) == []
