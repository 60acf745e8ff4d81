"""Memory of a process: resident now, and at most since it was last asked to forget."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import psutil

__all__ = ["available_bytes", "forget_peak", "peak_bytes", "resident_bytes"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident_bytes() -> int:
    """Bytes that this process holds in memory now."""
    return int(psutil.Process().memory_info().rss)


def forget_peak() -> bool:
    """Let the high-water mark start again from what is held now; False where that cannot be."""
    try:
        _CLEAR.write_text("5")
    except OSError:  # not Linux, or not allowed here: the mark is then the process's whole life's
        return False
    return True


def peak_bytes() -> int:
    """The most this process has held since ``forget_peak``, or since it began."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def available_bytes() -> int:
    """Bytes that other processes could still take without swapping."""
    return int(psutil.virtual_memory().available)
