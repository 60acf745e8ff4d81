"""What tests of sinks share: frames, and targets that keep or hold up what they get."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from video import open_reader

LONG_SECONDS = 20
"""After which a test that hangs is given up; nothing waits so long where all is well."""


def frames(count: int, height: int = 6, width: int = 8) -> list[NDArray[np.uint8]]:
    """Frames that differ, of bytes."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def read(path: Path) -> list[NDArray[np.uint8]]:
    with open_reader(path) as reader:
        return [frame.image for frame in reader]


def times_of(path: Path) -> list[Fraction]:
    with open_reader(path) as reader:
        return [frame.pts_seconds for frame in reader]


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self.closed = 0

    def write(self, frame: NDArray[np.uint8]) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        self.closed += 1


class Held:
    """A function of a frame that waits until it may go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Semaphore(0), threading.Event()
        self.shown: list[int] = []

    def __call__(self, frame: NDArray[np.uint8]) -> None:
        self.reached.release()
        assert self.go_on.wait(LONG_SECONDS)
        self.shown.append(int(frame[0, 0, 0]))
