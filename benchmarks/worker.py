"""One contender's process: ``python -m benchmarks.worker JOB``.

JOB is a ``Job`` as JSON. On standard input comes one request a line: ``load``; ``turn``, or
``turn PATH`` to compare the result with the .npy there, or ``save PATH`` to run a turn and keep its
result there; the end of the input means leave. Each is answered by one line of JSON on standard
output. Between requests the process blocks on the pipe, and computes nothing.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

import numpy as np
import torch

from benchmarks.absent import Unavailable
from benchmarks.accuracy import compare
from benchmarks.jobs import KINDS
from benchmarks.machine import Neighbours
from benchmarks.memory import forget_peak, peak_bytes, resident_bytes
from benchmarks.protocol import Gone, Job, Ready, Turn, to_line
from benchmarks.task import Task

__all__ = ["Worker", "main", "serve"]


class Worker:
    """A job, set up and run turn by turn.

    Args:
        job: What to be.
    """

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        self._job = job
        self._kind = KINDS[job.kind]
        self._kind.preload(job.arguments)
        gc.collect()
        self._resident_before_bytes = resident_bytes()
        self._task: Task | None = None

    def load(self) -> Ready:
        """Set the job up.

        Raises:
            Unavailable: It cannot run here.
        """
        forget_peak()
        start = time.perf_counter()
        self._task = self._kind.open(self._job.arguments, self._job.threads)
        seconds = time.perf_counter() - start
        return Ready(self._task.detail, seconds, self._above(peak_bytes()))

    def turn(self, truth: Path | None = None, save: Path | None = None) -> Turn:
        """Run once; compare the result with ``truth``, or save it, when all is measured."""
        task = self._task
        if task is None:
            raise ValueError("expected load before the first turn")
        forget_peak()
        if task.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        neighbours = Neighbours()
        start = time.perf_counter()
        made = task.run()
        seconds = time.perf_counter() - start
        others = neighbours.share()
        # What CUDA graphs compute in is reserved, and not allocated while they are replayed.
        peak = torch.cuda.max_memory_reserved() if task.on_gpu else self._above(peak_bytes())
        accuracy = None
        if task.pictures is not None and save is not None:
            np.save(save, task.pictures(made).numpy())
        if task.pictures is not None and truth is not None:
            accuracy = compare(task.pictures(made).numpy(), np.load(truth, mmap_mode="r"))
        values = None if task.values is None else task.values(made)
        return Turn(seconds, peak, task.output_bytes(made), others, accuracy, values)

    def _above(self, peak: int) -> int:
        return max(0, peak - self._resident_before_bytes)


def serve(job: Job, requests: IO[str], replies: IO[str]) -> None:
    """Answer requests until there are no more, or the job turns out not to be available."""

    def reply(message: Ready | Turn | Gone) -> None:
        replies.write(to_line(message))
        replies.flush()

    try:
        worker = Worker(job)
        for request in iter(requests.readline, ""):
            verb, _, path = request.rstrip("\n").partition(" ")
            if verb == "load":
                reply(worker.load())
            elif verb == "turn":
                reply(worker.turn(truth=Path(path) if path else None))
            elif verb == "save":
                reply(worker.turn(save=Path(path)))
            else:
                raise ValueError(f"expected load, turn or save, found {request!r}")
    except Unavailable as reason:
        reply(Gone(str(reason)))


def main() -> None:
    """Keep the pipe for replies; whatever libraries print goes to standard error."""
    # Ctrl-C reaches the whole terminal; the runner ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Job(**json.loads(sys.argv[1])), sys.stdin, replies)


if __name__ == "__main__":
    main()
