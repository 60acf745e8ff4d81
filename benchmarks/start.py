"""Time from the command to its first frame, phase by phase, in fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.absent import Unavailable
from benchmarks.start_phases import PHASES
from benchmarks.weights import SCALE, latents

__all__ = ["Start", "run_start"]

_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Start:
    """What the phases took.

    Attributes:
        phase_ms: Milliseconds of every round, by phase.
    """

    phase_ms: dict[str, tuple[float, ...]]

    def __str__(self) -> str:
        lines = [f"{name:12} {median(each):7.0f}" for name, each in self.phase_ms.items()]
        whole = [sum(each) for each in zip(*self.phase_ms.values(), strict=True)]
        return "\n".join(["phase         median ms", *lines, f"{'in all':12} {median(whole):7.0f}"])


def run_start(
    dtype: str, backend: str, pixels: int, rounds: int, say: Callable[[str], None]
) -> Start:
    """Begin to decode with nano in as many processes, one after the other, as there are rounds.

    Raises:
        Unavailable: There is no such dtype or backend here.
    """
    say(f"nano {dtype} {backend}, {pixels} x {pixels} pixels, {rounds} rounds after a warm-up")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "latents.npy")
        np.save(path, latents(pixels // SCALE, _FRAMES).numpy())
        found = [_phases(path, dtype, backend) for _ in range(rounds + 1)][1:]
    return Start({name: tuple(each[name] for each in found) for name in PHASES})


def _phases(path: Path, dtype: str, backend: str) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.start_phases", str(time.time())]
    done = subprocess.run(
        [*words, str(path), dtype, backend], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(done.stderr.strip().rpartition("\n")[2])
    phases: dict[str, float] = json.loads(done.stdout)
    return phases
