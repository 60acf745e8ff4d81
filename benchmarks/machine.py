"""The machine that a result was measured on, and what else was going on there."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

__all__ = ["Machine", "Neighbours", "cores", "this_machine"]

_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni",
    "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip
_PACKAGES = ("taesd-stream", "torch", "openvino", "nncf", "diffusers", "numpy", "av")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine, its software, the day and the command.

    Attributes:
        cpu: The processor's name.
        cpu_flags: What it has of those instructions that matter here.
        cores: That this process may use.
        memory_bytes: In all.
        gpu: Its name; None without one.
        system: The operating system.
        versions: Of packages; None for those that are not installed.
        date: Of the start, in UTC, as ISO 8601.
        command: As it was typed.
    """

    cpu: str
    cpu_flags: tuple[str, ...]
    cores: int
    memory_bytes: int
    gpu: str | None
    system: str
    python: str
    versions: dict[str, str | None]
    date: str
    command: str

    def __str__(self) -> str:
        flags = ", ".join(self.cpu_flags)
        there = [f"{name} {found}" for name, found in self.versions.items() if found]
        gpu = "" if self.gpu is None else f"; {self.gpu}"
        return (
            f"{self.cpu}, {self.cores} cores ({flags}), {self.memory_bytes / 2**30:.0f} GiB{gpu};"
            f" {self.system}, Python {self.python}, {', '.join(there)}; {self.date[:10]}"
        )


def this_machine(arguments: Sequence[str]) -> Machine:
    """This one, now, for ``python -m benchmarks`` with these arguments."""
    name, flags = _processor(Path("/proc/cpuinfo"))
    return Machine(
        cpu=name,
        cpu_flags=tuple(flag for flag in _FLAGS if flag in flags),
        cores=cores(),
        memory_bytes=int(psutil.virtual_memory().total),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={package: _version(package) for package in _PACKAGES},
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "benchmarks", *arguments]),
    )


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Neighbours:
    """Watches from now on how much processor time other programs take."""

    def __init__(self) -> None:
        self._start = self._clocks()

    def share(self) -> float:
        """Their part of all processor time there was since then, from 0 to 1."""
        everything, busy, own = (
            now - before for now, before in zip(self._clocks(), self._start, strict=True)
        )
        return min(1.0, max(0.0, (busy - own) / everything)) if everything else 0.0

    @staticmethod
    def _clocks() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        everything = sum(getattr(times, name) for name in ("user", "nice", "system", "idle"))
        return everything, everything - times.idle, time.process_time()


def _processor(cpuinfo: Path) -> tuple[str, frozenset[str]]:
    name, flags = platform.processor() or platform.machine(), frozenset[str]()
    if not cpuinfo.exists():
        return name, flags
    for line in cpuinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = frozenset(value.split())
    return name, flags


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
