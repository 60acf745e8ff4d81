"""The table: every contender at a few sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cases import Case, case_named
from benchmarks.decode_job import decode_job
from benchmarks.machine import cores
from benchmarks.process import WorkerProcess
from benchmarks.results import Section, to_row
from benchmarks.runner import alternate
from benchmarks.truth import saved_truth

__all__ = ["LARGEST_TRUTH", "run_table"]

LARGEST_TRUTH = 2048
"""Pixels a side; beyond that, results are not compared with an undivided decode."""
_TRUTH = "plain-float32"

Say = Callable[[str], None]


def run_table(
    cases: Sequence[Case], sizes: Sequence[int], rounds: int, references: Sequence[str], say: Say
) -> list[Section]:
    """One section for each size, in pixels a side: all cases alternate ``rounds`` times."""
    return [_one_size(cases, pixels, rounds, references, say) for pixels in sizes]


def _one_size(
    cases: Sequence[Case], pixels: int, rounds: int, references: Sequence[str], say: Say
) -> Section:
    say(f"{pixels} x {pixels} pixels")
    with tempfile.TemporaryDirectory() as folder:
        truth = _save_truth(Path(folder, "truth.npy"), pixels, say)
        workers = [WorkerProcess(decode_job(case, pixels, cores())) for case in cases]
        found = alternate(workers, rounds, truth=truth, say=say)
    times = {each.name: each.seconds for each in found}
    there = {name: times[name] for name in references if name in times}
    rows = [
        to_row(each, there, pixels=pixels, what=case.what)
        for case, each in zip(cases, found, strict=True)
    ]
    return Section("table", f"{pixels} x {pixels} pixels", tuple(there), tuple(rows))


def _save_truth(path: Path, pixels: int, say: Say) -> Path | None:
    """Have the plain float32 decoder compute what the others are compared with."""
    if pixels > LARGEST_TRUTH:
        return None
    return saved_truth(decode_job(case_named(_TRUTH), pixels, cores()), path, say)
