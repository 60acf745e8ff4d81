"""nano beside TAESD, on each backend and in each precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.cases import Case, case_named
from benchmarks.decode_job import decode_job
from benchmarks.machine import cores
from benchmarks.process import WorkerProcess
from benchmarks.results import Section, to_row
from benchmarks.runner import alternate

__all__ = ["CASES", "run_nano"]

CASES = ("nano-torch-float32", "nano-torch-bfloat16", "nano-openvino-*")


def run_nano(
    cases: Sequence[Case], pixels: int, rounds: int, say: Callable[[str], None]
) -> list[Section]:
    """One section for each of nano's cases: it and TAESD in the same backend and precision."""
    sections = []
    for case in cases:
        pair = (case_named(case.name.replace("nano", "ours", 1)), case)
        say(f"{case.backend} {case.precision}, {pixels} x {pixels} pixels")
        workers = [WorkerProcess(decode_job(each, pixels, cores())) for each in pair]
        found = alternate(workers, rounds, say=say)
        times = {found[0].name: found[0].seconds}
        rows = [
            to_row(one, times, pixels=pixels, what=each.what)
            for each, one in zip(pair, found, strict=True)
        ]
        title = f"{case.backend} {case.precision}, {pixels} x {pixels} pixels"
        sections.append(Section("nano", title, tuple(times), tuple(rows)))
    return sections
