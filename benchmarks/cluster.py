"""A decode on 1, 2 and 4 workers of this machine, and a simulation of it and of large clusters.

The simulation runs the rules by which a job hands out units, in a time of its own. Storage, and the
process that hands out work, serve one request after the other.
"""

from __future__ import annotations

import heapq
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

import taesd_stream as ts
from benchmarks.weights import panned_latents
from taesd_stream.engine.cores import usable_cores
from taesd_stream.jobs.cluster.dispatch import Dispatch
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.ray_library import load_ray
from taesd_stream.jobs.resume.journal import Journal
from video.joining import join_segments
from video.video_writer import VideoWriter

__all__ = ["Figures", "Outcome", "run_cluster", "simulated"]

_FRAMES: Final = 480
_LATENTS: Final = 32
_WORKERS: Final = (1, 2, 4)
_LARGE: Final = (1, 8, 64, 1000)
_CALLS: Final = 300
_SPREAD: Final = 0.05

# Two hours of 1920x1080 at 24 frames/s, of latents of 16 channels in 16 bits, four frames each.
_FILM_FRAMES: Final = 2 * 3600 * 24
_FILM_UNIT: Final = 48
_FRAME_BYTES: Final = 135 * 240 * 16 * 2 // 4 + 8_000_000 // 8 // 24
_FRAMES_PER_SECOND: Final = 30  # of one worker: supposed
_STORAGE: Final = 1e9
_STARTING: Final = 20.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a job takes, piece by piece.

    Attributes:
        units: How many there are.
        unit_seconds: What a worker takes for one.
        unit_bytes: What a unit reads and writes.
        storage_bytes_per_second: Of the storage that all share.
        handing_seconds: What the one who hands out work takes for a unit.
        joining_seconds: What the one who joins units, in their order, takes for each.
        starting_seconds: Until the workers are ready.
    """

    units: int
    unit_seconds: float
    unit_bytes: float = 0.0
    storage_bytes_per_second: float = _STORAGE
    handing_seconds: float = 0.0
    joining_seconds: float = 0.0
    starting_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulated job has taken.

    Attributes:
        seconds: From its start to the finished file.
        working: The share of that time in which workers computed.
        storage: The share in which storage was busy.
        handing: The share in which the one who hands out work was.
        joining: The share in which units were joined.
    """

    seconds: float
    working: float
    storage: float
    handing: float
    joining: float


class _Served:
    """Something that serves one request after the other."""

    def __init__(self) -> None:
        self._free_at = self.busy = 0.0

    def until(self, now: float, seconds: float) -> float:
        """When a request that comes now has been served."""
        self._free_at = max(now, self._free_at) + seconds
        self.busy += seconds
        return self._free_at


def simulated(figures: Figures, workers: int, seed: int = 0) -> Outcome:
    """A job on so many workers, of which each unit takes some percent more or less.

    >>> outcome = simulated(Figures(units=100, unit_seconds=10.0), 10)
    >>> 100 < outcome.seconds < 120, outcome.working > 0.85
    (True, True)
    """
    luck, now = random.Random(seed), figures.starting_seconds
    dispatch = Dispatch(range(figures.units), lambda: now)
    storage, handing = _Served(), _Served()
    transfer = figures.unit_bytes / figures.storage_bytes_per_second
    working = 0.0
    ready = [0.0] * figures.units
    ends: list[tuple[float, int, int]] = []
    idle = list(range(workers))
    while not dispatch.is_over:
        while idle and (unit := dispatch.next_for(idle[-1])) is not None:
            seconds = figures.unit_seconds * max(0.5, luck.gauss(1.0, _SPREAD))
            working += seconds
            begun = storage.until(handing.until(now, figures.handing_seconds), transfer)
            heapq.heappush(ends, (begun + seconds, idle.pop(), unit))
        now, worker, unit = heapq.heappop(ends)
        if dispatch.done(worker, unit):
            ready[unit] = now
        idle.append(worker)
    joining, total = _Served(), now
    for made in accumulate(ready, max):  # none is joined before those in front of it
        total = joining.until(made, figures.joining_seconds)
    shares = working / workers, storage.busy, handing.busy, joining.busy
    return Outcome(total, *(share / total for share in shares))


def run_cluster(say: Callable[[str], None]) -> str:
    """Measure this machine, and say what a simulation makes of that, and of large clusters."""
    measured = {workers: _measured(workers, say) for workers in _WORKERS}
    handing, joining = _handing_seconds(), _joining_seconds()
    rows = [
        f"handing out a unit {1000 * handing:.1f} ms, joining {1000 * joining:.2f} ms a frame",
        "",
        "| workers | started | made | simulated |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for workers, (started, made) in measured.items():
        # Workers that share cores take longer for a unit.
        slower = max(1.0, workers / usable_cores())
        units = 4 * workers
        alone = Figures(units, measured[1][1] / units * slower, handing_seconds=handing)
        outcome = simulated(alone, workers)
        rows.append(f"| {workers} | {started:.1f} s | {made:.1f} s | {outcome.seconds:.1f} s |")
    return "\n".join([*rows, "", *_film(handing, joining)])


def _film(handing: float, joining: float) -> list[str]:
    """Rows of a film on large clusters."""
    rows = [
        "| workers | minutes | times as fast | computing | storage | handing out | joining |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    one: float | None = None
    for workers in _LARGE:
        frames = max(16, min(_FILM_UNIT, -(-_FILM_FRAMES // (4 * workers))))
        film = Figures(
            units=-(-_FILM_FRAMES // frames),
            unit_seconds=frames / _FRAMES_PER_SECOND,
            unit_bytes=frames * _FRAME_BYTES,
            handing_seconds=handing,
            joining_seconds=frames * joining,
            starting_seconds=_STARTING,
        )
        faster = replace(film, storage_bytes_per_second=20 * _STORAGE)
        for label, figures in ((f"{workers}", film), (f"{workers}, storage of 20 GB/s", faster)):
            made = simulated(figures, workers)
            one = one or made.seconds
            shares = (made.working, made.storage, made.handing, made.joining)
            rows.append(
                f"| {label} | {made.seconds / 60:.1f} | {one / made.seconds:.1f} |"
                f" {' | '.join(f'{share:.0%}' for share in shares)} |"
            )
    return rows


def _measured(workers: int, say: Callable[[str], None]) -> tuple[float, float]:
    """The seconds until a video's first frames are made, and from then on, on so many workers."""
    ray = _started(workers)
    began: list[float] = []

    def on_progress(done: float, _total: float | None) -> None:
        if done and not began:
            began.append(time.perf_counter())

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "z.pt")
            torch.save(panned_latents(_LATENTS, _FRAMES), path)
            start = time.perf_counter()
            ts.render(
                path,
                Path(folder, "a.mp4"),
                model="nano",
                device="cpu",
                backend="torch",
                threads=1,
                cluster="auto",
                on_progress=on_progress,
            )
            seconds = time.perf_counter() - began[0]
    finally:
        ray.shutdown()
    say(f"{workers} workers: started in {began[0] - start:.1f} s, made in {seconds:.1f} s")
    return began[0] - start, seconds


def _started(workers: int) -> Any:
    """Ray, with room for so many workers."""
    ray = load_ray()
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=workers, **quiet)
    return ray


def _handing_seconds() -> float:
    """What a unit takes of the one who hands out work: a call that does nothing, and a note."""
    ray = _started(1)
    try:
        actor = ray.remote(_Idle).remote()
        ray.get(actor.make.remote(0))
        with (
            tempfile.TemporaryDirectory() as folder,
            Journal.open(Path(folder, "a.mp4"), {}) as journal,
        ):
            finished = FinishedUnits(journal)
            start = time.perf_counter()
            for unit in range(_CALLS):
                ray.get(actor.make.remote(unit))
                finished.note(unit)
            return (time.perf_counter() - start) / _CALLS
    finally:
        ray.shutdown()


class _Idle:
    def make(self, unit: int) -> int:
        return unit


def _joining_seconds(segments: int = 6, frames: int = _FILM_UNIT) -> float:
    """What joining takes for each frame, which is there already."""
    picture = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    picture = picture.repeat(8, axis=0).repeat(8, axis=1)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.mp4") for number in range(segments)]
        for file in files:
            with VideoWriter(file, width=1280, height=720, rate=24) as writer:
                for shift in range(frames):
                    writer.write(np.roll(picture, 3 * shift, axis=1))
        start = time.perf_counter()
        join_segments(files, Path(folder, "a.mp4"), rate=Fraction(24))
        return (time.perf_counter() - start) / (segments * frames)
