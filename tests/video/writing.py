"""What tests of writers of videos share: noisy frames, and how they are written."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from video import (
    ImageSequenceWriter,
    VideoWriter,
)

NTSC = Fraction(24000, 1001)


def pictures(count: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Frames that differ: noise with a bar that moves."""
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[:, 4 * index : 4 * index + 4] = (255, 0, 0)
    return frames


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        timeout=60,
        check=False,
    )


def fill(
    writer: VideoWriter | ImageSequenceWriter,
    frames: list[NDArray[np.uint8]],
    then: Callable[[], object] = lambda: None,
) -> None:
    """Write ``frames`` and do ``then``, all inside the writer's block."""
    with writer:
        for frame in frames:
            writer.write(frame)
        then()


def fail(error: type[BaseException]) -> Callable[[], object]:
    def run() -> object:
        raise error

    return run


def open_mp4(folder: Path) -> VideoWriter:
    return VideoWriter(folder / "a.mp4", width=64, height=48, rate=24)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
