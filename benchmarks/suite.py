"""The test suite as a section of a report."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.protocol import Gone, Turn
from benchmarks.results import Section, to_row
from benchmarks.runner import Measured

__all__ = ["counts", "run_suite"]

_ROOT = Path(__file__).resolve().parents[1]
_OUTCOMES = ("passed", "failed", "errors", "skipped")


def run_suite(tests: Sequence[str], say: Callable[[str], None]) -> Section:
    """Run these tests, paths below the repository's root, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "--color=no", *tests]
    say(f"tests: {' '.join(command[1:])}")
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    found = Measured(" ".join(tests))
    found.turns = [Turn(seconds, 0, 0, values=counts(lines[-1] if lines else ""))]
    if done.returncode:
        failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        words = "; ".join(failures or lines[-1:]) or "it said nothing"
        found.gone = Gone(f"ended with status {done.returncode}: {words}", failed=True)
        say(f"  {found.gone}")
    return Section("suite", "test suite", (), (to_row(found, {}, pixels=0),))


def counts(summary: str) -> dict[str, float]:
    """The numbers in pytest's last line.

    >>> counts("2 failed, 1 passed, 3 skipped in 0.12s")
    {'passed': 1.0, 'failed': 2.0, 'errors': 0.0, 'skipped': 3.0}
    """
    said = {word: float(count) for count, word in re.findall(r"(\d+) ([a-z]+)", summary)}
    said["errors"] = said.get("errors", said.get("error", 0.0))
    return {outcome: said.get(outcome, 0.0) for outcome in _OUTCOMES}
