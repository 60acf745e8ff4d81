"""The runner's end of a worker's pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

import psutil

from benchmarks.memory import available_bytes
from benchmarks.protocol import Gone, Job, Ready, Turn, reply_from_json

__all__ = ["WorkerProcess"]

_ROOT = Path(__file__).resolve().parents[1]
_SPARE_BYTES = 1 << 30


class WorkerProcess:
    """A contender in a process of its own; started when first asked for something.

    Args:
        job: What it is for.

    Attributes:
        name: What the contender is called.
    """

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self._job = job
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close
        self._idle_seconds = 0.0
        self._idle_busy_seconds = 0.0
        self._idle_since: tuple[float, float] | None = None

    @property
    def idle_share(self) -> float:
        """Processor time used while others had their turns, as a share of that time."""
        return self._idle_busy_seconds / self._idle_seconds if self._idle_seconds else 0.0

    def load(self) -> Ready | Gone:
        """Start the process and set the job up."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(asdict(self._job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=_environment(self._job.threads),
        )
        reply = self._ask("load")
        if isinstance(reply, Turn):
            raise ValueError(f"{self.name}: expected to hear it is ready, found {reply}")
        return reply

    def turn(self, truth: Path | None = None) -> Turn | Gone:
        """Have it run once; with ``truth``, compare the result with the .npy there."""
        return self._turn("turn" if truth is None else f"turn {truth}")

    def save(self, path: Path) -> Turn | Gone:
        """Have it run once and save the result as .npy."""
        return self._turn(f"save {path}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def _turn(self, request: str) -> Turn | Gone:
        if self._process is None:
            raise ValueError(f"{self.name}: expected load before the first turn")
        held = psutil.Process(self._process.pid).memory_info().rss
        left = available_bytes() - _SPARE_BYTES
        if self._job.needs_bytes - held > left:
            need, free = self._job.needs_bytes / 2**30, left / 2**30
            return Gone(f"it needs about {need:.1f} GiB and {free:.1f} GiB are free")
        reply = self._ask(request)
        if isinstance(reply, Ready):
            raise ValueError(f"{self.name}: expected the result of a turn, found {reply}")
        return reply

    def _ask(self, request: str) -> Ready | Turn | Gone:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ValueError(f"{self.name}: expected a process with pipes")
        self._count_idle(process.pid)
        # If it left before it was asked, what it said, or that it said nothing, comes next.
        with suppress(BrokenPipeError):
            process.stdin.write(request + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            return Gone(f"{_ending(process.wait())}: {self._last_error()}", failed=True)
        self._idle_since = (time.perf_counter(), _busy_seconds(process.pid))
        return reply_from_json(line)

    def _count_idle(self, pid: int) -> None:
        if self._idle_since is not None:
            since, busy = self._idle_since
            self._idle_seconds += time.perf_counter() - since
            self._idle_busy_seconds += _busy_seconds(pid) - busy

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else "it said nothing"


def _environment(threads: int) -> dict[str, str]:
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
    }


def _busy_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _ending(status: int) -> str:
    return f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
