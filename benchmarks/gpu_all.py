"""Everything that is to be known of a GPU, in one run: tests, errors, speed, memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.gpu import BATCHES, run_gpu
from benchmarks.gpu_jobs import decode_job, video_job
from benchmarks.process import WorkerProcess
from benchmarks.protocol import Job
from benchmarks.results import Row, Section, to_row
from benchmarks.runner import Measured, alternate
from benchmarks.suite import run_suite
from benchmarks.truth import saved_truth
from benchmarks.video import run_video

__all__ = ["DRY_RUN", "FULL", "PLANNED_BESIDES", "Extent", "run_gpu_all"]

Say = Callable[[str], None]

_FAMILIES = ("ours", "ours-eager", "plain", "compile", "diffusers")
PLANNED_BESIDES = """\
- and with --all, before it: the test suite; 512, 1024 and 2048 pixels a side in float16, bfloat16
  and float32: ours with CUDA graphs and without, plain PyTorch, torch.compile, diffusers, and how
  far each is from float32 on the CPU; a video model, latent by latent; render to H.264
- --dry-run does that on the CPU, small, with a stand-in for CUDA graphs: it tells that the command
  works, and nothing of speed"""
# Beside float32 on the CPU, with these weights: more is a fault. Videos are compared as bytes.
_WORST = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 8e-2}
_OF_BYTES = 1.5 / 255


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured, and where.

    Attributes:
        device: "cuda", or "cpu" for a dry run.
        tests: Paths that pytest is given.
        sizes: Of squares, in pixels a side.
        precisions: Names of dtypes.
        clip: Latents of a video, and their height and width.
        families: Who decodes.
    """

    device: str
    tests: tuple[str, ...]
    sizes: tuple[int, ...]
    precisions: tuple[str, ...]
    clip: tuple[int, int, int]
    families: tuple[str, ...] = _FAMILIES

    @property
    def is_dry(self) -> bool:
        """Whether nothing is measured."""
        return self.device == "cpu"

    @property
    def mark(self) -> str:
        """What titles begin with."""
        return "dry run on the CPU, no measurement: " if self.is_dry else ""


FULL = Extent(
    "cuda", ("tests",), (512, 1024, 2048), ("float16", "bfloat16", "float32"), (24, 60, 104)
)
DRY_RUN = Extent(
    device="cpu",
    tests=("-n0", "tests/engine/test_cuda_graphs.py"),
    sizes=(64,),
    precisions=("float32",),
    clip=(6, 3, 4),
    families=("ours", "ours-eager"),
)


def run_gpu_all(extent: Extent, rounds: int, say: Say) -> list[Section]:
    """A section for the tests, each size and precision, videos, and all of ``run_gpu``."""
    sections = [run_suite(extent.tests, say)]
    for pixels in extent.sizes:
        sections += _decodes(extent, pixels, rounds, say)
    sections += _videos(extent, rounds, say)
    if extent.is_dry:
        return sections
    dtype, frames = extent.precisions[0], 4 * extent.clip[0]
    sections += run_video(extent.sizes[0], frames, rounds, say, dtype=dtype, device=extent.device)
    return [*sections, *run_gpu(BATCHES, rounds, say)]


def _decodes(extent: Extent, pixels: int, rounds: int, say: Say) -> list[Section]:
    with tempfile.TemporaryDirectory() as folder:
        say(f"{pixels} x {pixels} pixels: float32 on the CPU")
        job = decode_job("plain", "float32", "cpu", pixels)
        truth = saved_truth(job, Path(folder, "truth.npy"), say)
        races = [
            _Race(
                f"{extent.mark}{pixels} x {pixels} pixels, one picture at a time, {precision}",
                [decode_job(each, precision, extent.device, pixels) for each in extent.families],
                (f"ours-eager-{precision}", f"diffusers-{precision}"),
                _WORST[precision],
            )
            for precision in extent.precisions
        ]
        return [race.section(rounds, truth, say) for race in races]


def _videos(extent: Extent, rounds: int, say: Say) -> list[Section]:
    steps, height, width = extent.clip
    with tempfile.TemporaryDirectory() as folder:
        say("a clip: float32 on the CPU")
        job = video_job("ours-eager", "float32", "cpu", extent.clip)
        truth = saved_truth(job, Path(folder, "truth.npy"), say)
        clip = f"TAEHV, {steps} latents of {height} x {width} one by one"
        races = [
            _Race(
                f"{extent.mark}{clip}, {precision}",
                [
                    video_job(each, precision, extent.device, extent.clip)
                    for each in ("ours", "ours-eager")
                ],
                (f"ours-eager-{precision}",),
                max(_WORST[precision], _OF_BYTES),
            )
            for precision in extent.precisions
        ]
        return [race.section(rounds, truth, say) for race in races]


@dataclass(frozen=True, slots=True)
class _Race:
    """Contenders that make as many pictures each.

    Attributes:
        title: Of the section.
        jobs: Theirs.
        references: Those of them that ratios refer to.
        worst: The largest error of ours that is none.
    """

    title: str
    jobs: list[Job]
    references: tuple[str, ...]
    worst: float

    def section(self, rounds: int, truth: Path | None, say: Say) -> Section:
        """Have them alternate."""
        say(self.title)
        found = alternate([WorkerProcess(job) for job in self.jobs], rounds, truth=truth, say=say)
        times = {each.name: each.seconds for each in found}
        there = {name: times[name] for name in self.references if name in times}
        rows = [to_row(each, there, pixels=0, values=_rate(each, self.jobs[0])) for each in found]
        return Section("gpu-decode", self.title, tuple(there), tuple(map(self._checked, rows)))

    def _checked(self, row: Row) -> Row:
        """The same, as a failure where ours is too far from float32 on the CPU."""
        error = 0.0 if row.accuracy is None else row.accuracy.max_error
        if error <= self.worst or not row.name.startswith("ours"):
            return row
        words = f"expected errors up to {self.worst:.1e}, found {error:.1e}"
        return replace(row, gone=f"{self.title}: {words}", failed=True)


def _rate(measured: Measured, job: Job) -> dict[str, float]:
    if not measured.turns:
        return {}
    return {"frames_per_second": job.arguments["frames"] / median(measured.seconds)}
