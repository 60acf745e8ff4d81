"""The cores that this process may compute on, and threads that keep to some of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic, perf_counter, process_time

import psutil
import torch
from threadpoolctl import ThreadpoolController

from taesd_stream.errors import InputError

__all__ = [
    "WAITING_PER_THREAD",
    "Cores",
    "CrowdWatch",
    "SpareCores",
    "keeping_to",
    "shares_of_cores",
    "usable_cores",
]

WAITING_PER_THREAD = 2
"""So many bands of a picture, or finished tiles of a video, are made or wait for each thread."""

# Cores that share a tile wait for each other at the end of each layer, and small layers have only
# one. What both cores take over what one takes alone, AVX2, float32, taew2_1 at 40x64 latents:
# about 1.04. With smaller pieces it was 1.13, and for TAEHV at 24x24, not measured again, 1.18.
_SHARING_COSTS = 1.05
# So large a part of the cores that are wanted makes no crowd of those who have the rest.
_ENOUGH = 0.9
# Systems count the time of cores in hundredths of a second; and what was idle long ago may not be.
_LEAST_LOOK, _LONGEST_LOOK = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores that compute, shared out.

    Attributes:
        threads: How many tiles are computed side by side.
        inside: How many cores compute each of them.
    """

    threads: int = 1
    inside: int = 1

    def share(self, stretches: int, pieces: int) -> float:
        """The time that work takes, over what it takes one core.

        Args:
            stretches: As many parts it has, of equal length, as are begun by one thread each.
            pieces: As many pieces, of which others may take over those that are not begun.

        >>> two = Cores(threads=2)
        >>> two.share(2, 16), two.share(1, 1), two.share(3, 3), two.share(3, 12)
        (0.5, 1.0, 0.6666666666666666, 0.5416666666666666)
        """
        busy = -(-stretches // self.threads) / stretches
        if stretches > self.threads:
            busy = min(busy, 1 / self.threads + 1 / (2 * pieces))
        return busy / self.inside * (_SHARING_COSTS if self.inside > 1 else 1.0)


def shares_of_cores(threads: int | None) -> tuple[Cores, ...]:
    """The ways to share the cores out, from a tile for each of them to one tile for all.

    Args:
        threads: The cores to use; None is all that the process may compute on.

    Raises:
        InputError: It is no number of threads.

    >>> [(cores.threads, cores.inside) for cores in shares_of_cores(4)]
    [(4, 1), (2, 2), (1, 4)]
    """
    left = _checked(threads)
    all_cores, shares = left, []
    while left:
        shares.append(Cores(left, all_cores // left))
        left //= 2
    return tuple(shares)


def _checked(threads: int | None) -> int:
    if threads is None:
        return usable_cores()
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise InputError(f"threads: expected a number from 1 up, or none, found {threads!r}")
    return threads


class CrowdWatch:
    """Watches, from when it is made, whether other programs hold cores that are wanted here.

    Args:
        cores: How many are wanted.
    """

    def __init__(self, cores: int) -> None:
        self._cores, self._start = cores, _Usage.now()

    def saw_a_crowd(self) -> bool:
        """Whether others left fewer cores than are wanted."""
        since = _Usage.now().after(self._start)
        left = (os.cpu_count() or 1) * since.clock - (since.all_cores - since.own)
        return left < _ENOUGH * self._cores * since.clock


class SpareCores:
    """Tells whether cores lie idle that this process may compute on.

    Others that compute may need all of theirs at once and leave them for moments in between, so
    only a good part of them counts: a quarter, and one at least.
    """

    def __init__(self) -> None:
        self._asked = _Usage.now()

    def are_there(self) -> bool:
        """Whether they did since this was asked last, if that is not long ago."""
        before, self._asked = self._asked, _Usage.now()
        since = self._asked.after(before)
        if not _LEAST_LOOK <= since.clock <= _LONGEST_LOOK:
            return False
        cores = min(_affinity(), _quota_in(int(monotonic())))
        idle = min(
            cores - since.own / since.clock,
            (os.cpu_count() or 1) - since.all_cores / since.clock,
        )
        return idle >= max(_ENOUGH, cores / 4)


@dataclass(frozen=True, slots=True)
class _Usage:
    """Seconds up to a moment, or between two.

    Attributes:
        clock: By the clock.
        all_cores: That all cores were at work, together.
        own: That they were for this process.
    """

    clock: float
    all_cores: float
    own: float

    @classmethod
    def now(cls) -> _Usage:
        return cls(perf_counter(), _busy_seconds(), process_time())

    def after(self, before: _Usage) -> _Usage:
        """From a moment before."""
        return _Usage(
            self.clock - before.clock, self.all_cores - before.all_cores, self.own - before.own
        )


def _busy_seconds() -> float:
    """Seconds of all cores' time since the system began that they were at work."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


@contextmanager
def keeping_to(cores: int) -> Iterator[None]:
    """Inside it, PyTorch's kernels use so many cores in this thread; other threads notice nothing.

    ``torch.set_num_threads`` would be noticed: threads that begin later take its number over.
    """
    torch.get_num_threads()  # a thread's first call sets the number anew
    with _openmp().limit(limits=cores, user_api="openmp"):
        yield


@lru_cache(maxsize=1)
def _openmp() -> ThreadpoolController:
    """The OpenMP libraries of this process, which PyTorch has brought along."""
    return ThreadpoolController()


def usable_cores() -> int:
    """The cores that this thread may compute on.

    That is the least of what the system lets the process run on, of what a container's quota
    allows, and of what ``torch.set_num_threads`` or OMP_NUM_THREADS ask for.
    """
    return max(1, min(_affinity(), _quota_in(int(monotonic())), torch.get_num_threads()))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(maxsize=1)
def _quota_in(second: int) -> int:
    """The quota, read once in a second: live frames ask for it often."""
    return _quota()


def _quota(root: Path = Path("/sys/fs/cgroup")) -> int:
    """The cores' worth of time that the control group of a container may use, rounded up."""
    for read in (_quota_of_version_2, _quota_of_version_1):
        try:
            allowed, period = read(root)
        except (OSError, ValueError):
            continue
        if allowed > 0 and period > 0:
            return -(-allowed // period)
    return 1 << 20


def _quota_of_version_2(root: Path) -> tuple[int, int]:
    allowed, period = (root / "cpu.max").read_text().split()
    return int(allowed), int(period)


def _quota_of_version_1(root: Path) -> tuple[int, int]:
    allowed, period = (root / "cpu" / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
    return int(allowed.read_text()), int(period.read_text())
