"""Results that others are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.process import WorkerProcess
from benchmarks.protocol import Gone, Job

__all__ = ["saved_truth"]


def saved_truth(job: Job, path: Path, say: Callable[[str], None]) -> Path | None:
    """Have a process of its own do a job once and save the result as .npy; None if it cannot."""
    worker = WorkerProcess(job)
    try:
        loaded = worker.load()
        done = loaded if isinstance(loaded, Gone) else worker.save(path)
    finally:
        worker.close()
    if isinstance(done, Gone):
        say(f"  no errors will be known: {job.name} is {done}")
        return None
    return path
