"""Time and memory of ours against the picture's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.cases import Case
from benchmarks.decode_job import decode_job
from benchmarks.machine import cores
from benchmarks.process import WorkerProcess
from benchmarks.results import Section, to_row
from benchmarks.runner import alternate

__all__ = ["CASES", "SIZES", "run_scaling"]

CASES = ("ours-torch-float32", "ours-openvino-bfloat16")
SIZES = (512, 1024, 2048, 4096, 8192)


def run_scaling(
    cases: Sequence[Case], sizes: Sequence[int], rounds: int, say: Callable[[str], None]
) -> list[Section]:
    """One section: every case at every size, in pixels a side, all alternating."""
    pairs = [(case, pixels) for pixels in sizes for case in cases]
    workers = [WorkerProcess(decode_job(case, pixels, cores())) for case, pixels in pairs]
    say(f"scaling: {len(cases)} cases at {len(sizes)} sizes")
    found = alternate(workers, rounds, say=say)
    rows = []
    for (case, pixels), each in zip(pairs, found, strict=True):
        row = to_row(each, {}, pixels=pixels, what=case.what)
        if row.median_seconds is not None:
            rate = {"pixels_per_second": pixels**2 / row.median_seconds}
            row = to_row(each, {}, pixels=pixels, what=case.what, values=rate)
        rows.append(row)
    return [Section("scaling", "Time and memory against size", (), tuple(rows))]
