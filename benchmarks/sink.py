"""A sink under a generator that goes on: memory, frames, times, waiting, and what a kill leaves."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

import taesd_stream as ts
from benchmarks.decoders.ours import load_ours
from benchmarks.memory import resident_bytes
from benchmarks.weights import SCALE, latents
from video import VideoReader

__all__ = ["Recorded", "Undisturbed", "kill", "push_to_slow_target", "record", "run_sink"]

_DISTINCT = 8
_MIB = 1 << 20
_SLOW_SECONDS = 0.05
_KILLED_AFTER = 40
_KILLED_FPS = 20

_CHILD = """
import sys, time
import numpy as np
import taesd_stream as ts

with ts.VideoSink(sys.argv[1], fps="live") as sink:
    random = np.random.default_rng(0)
    while True:
        sink.write(random.integers(0, 256, (256, 256, 3), np.uint8))
        print(time.monotonic(), flush=True)
        time.sleep(1 / float(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of latents that were pushed to a lossless video, each at its own time.

    Attributes:
        frames: In the file.
        wrong: Of them, those that are not what ``stream`` makes of their latent.
        most_off_ms: By how much the time of a frame is off that of the push, at most.
        grown_bytes: What the process held more, at most, than after the first tenth.
    """

    frames: int
    wrong: int
    most_off_ms: float
    grown_bytes: int


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a generator felt of a target that is slow, with "drop".

    Attributes:
        write_ms: Milliseconds of every ``write``.
        written: Frames that the target took; the others were dropped.
    """

    write_ms: tuple[float, ...]
    written: int


def run_sink(frames: int, pixels: int, say: Callable[[str], None]) -> str:
    """Measure all of it, in words.

    Raises:
        Unavailable: There is no such model here.
    """
    ae = load_ours("float32", "torch", "cpu", model="nano")
    say(f"nano, {pixels} x {pixels} pixels, {frames} frames")
    given = list(latents(pixels // SCALE, _DISTINCT))
    with TemporaryDirectory() as name:
        recorded = record(ae, given, frames, Path(name, "a.mp4"))
    say(f"a target that takes {1e3 * _SLOW_SECONDS:.0f} ms a frame")
    felt = push_to_slow_target(frames // 4, pixels, lambda frame: time.sleep(_SLOW_SECONDS))
    say("a process that is killed")
    with TemporaryDirectory() as name:
        lost = kill(Path(name, "a.mp4"), _KILLED_AFTER, _KILLED_FPS)
    cuts = quantiles(felt.write_ms, n=100, method="inclusive")
    return (
        f"recorded: {recorded.frames} of {frames} frames, {recorded.wrong} of them wrong, times off"
        f" by {recorded.most_off_ms:.3f} ms at most\n"
        f"memory: {recorded.grown_bytes / _MIB:.1f} MiB more than after the first tenth, at most\n"
        f"a slow target, drop: write takes, in ms, median {cuts[49]:.2f}, 99%"
        f" {cuts[98]:.2f}, most {max(felt.write_ms):.2f}; {felt.written} of {len(felt.write_ms)}"
        " written\n"
        f"kill -9: the file ends {1e3 * lost:.0f} ms before the newest frame"
    )


def record(ae: ts.AutoEncoder, given: Sequence[Tensor], frames: int, path: Path) -> Recorded:
    """Push latents to a lossless video at their own times, and hold it against what was pushed."""
    pushed, held = list[float](), list[int]()
    with ts.VideoSink(path, model=ae, fps="live", lossless=True) as sink:
        for number in range(frames):
            pushed.append(time.monotonic())
            sink.push(given[number % len(given)])
            if number >= frames // 10:
                held.append(resident_bytes())
    expected = list(ae.stream(given))
    count, wrong, off = 0, 0, 0.0
    with VideoReader(path) as reader:
        for frame in reader:
            wrong += not np.array_equal(frame.image, expected[count % len(given)])
            off = max(off, abs(float(frame.pts_seconds) - (pushed[count] - pushed[0])))
            count += 1
    return Recorded(count, wrong, 1e3 * off, max(held) - held[0])


def push_to_slow_target(
    frames: int, pixels: int, target: Callable[[object], object]
) -> Undisturbed:
    """Write frames, one right after the other, to a target that drops what it cannot take."""
    image = torch.rand(3, pixels, pixels)
    taken = list[float]()
    with ts.VideoSink(target, when_full="drop") as sink:
        for _ in range(frames):
            began = time.perf_counter()
            sink.write(image)
            taken.append(1e3 * (time.perf_counter() - began))
    return Undisturbed(tuple(taken), sink.written)


def kill(path: Path, after: int, fps: int) -> float:
    """Kill a process that records; returns the seconds that its file lacks of what it was given."""
    command = [sys.executable, "-c", _CHILD, str(path), str(fps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        given = [float(process.stdout.readline()) for _ in range(after)]
        process.kill()
        given += [float(line) for line in process.stdout]
    (left,) = path.parent.iterdir()
    with VideoReader(left) as reader:
        times = [float(frame.pts_seconds) for frame in reader]
    return max(0.0, given[-1] - given[0] - times[-1])
