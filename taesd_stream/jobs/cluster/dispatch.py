"""The units of a job, handed out to workers: who does what next, and what becomes of failures.

It knows of no cluster and no clock but the one it is given, so that a simulation runs the same
rules as a job does.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from taesd_stream.errors import TaesdStreamError

__all__ = ["Dispatch", "UnitLostError"]

_MOST_FAILURES = 3
# A worker that dies is mostly not its unit's fault; one that kills every worker must end somewhere.
_MOST_DEATHS = 12
# So many times as long as half of all units, and seconds, a unit takes before it is made once more.
_STRAGGLES = 2.0
_LEAST_SECONDS = 5.0


class UnitLostError(TaesdStreamError):
    """Whoever makes a unit dies of it, again and again."""


@dataclass(slots=True)
class _Running:
    """A unit that is being made.

    Attributes:
        workers: By whom: by two, where it was repeated because it takes so long.
        since: The second at which it was begun.
    """

    workers: set[int] = field(default_factory=set)
    since: float = 0.0


class Dispatch:
    """Units that wait, those that are being made, and those that are done.

    Args:
        units: Their numbers, in the order in which they are wanted.
        clock: Seconds.

    >>> work = Dispatch([0, 1])
    >>> work.next_for(worker=7), work.next_for(worker=8), work.next_for(worker=9)
    (0, 1, None)
    >>> work.lost(worker=8)
    >>> work.next_for(worker=9), work.done(7, 0), work.done(9, 1), work.is_over
    (1, True, True, True)
    """

    def __init__(self, units: Iterable[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting = deque(units)
        self._clock = clock
        self._running: dict[int, _Running] = {}
        self._failures: Counter[int] = Counter()
        self._deaths: Counter[int] = Counter()
        self._seconds: deque[float] = deque(maxlen=100)

    @property
    def is_over(self) -> bool:
        """Whether all units are done."""
        return not self._waiting and not self._running

    def next_for(self, worker: int) -> int | None:
        """The unit that a worker is to make now; None if there is nothing for it to do.

        Where no unit waits, it is one that somebody else takes very long for, once for each.
        """
        if self._waiting:
            unit = self._waiting.popleft()
            self._running[unit] = _Running({worker}, self._clock())
            return unit
        straggler = self._straggler()
        if straggler is not None:
            self._running[straggler].workers.add(worker)
        return straggler

    def done(self, worker: int, unit: int) -> bool:
        """A worker has made a unit; whether it is the first who has."""
        running = self._running.pop(unit, None)
        if running is None:
            return False
        self._seconds.append(self._clock() - running.since)
        self._deaths.clear()  # as long as some are done, it is not the units that workers die of
        return True

    def failed(self, worker: int, unit: int, error: BaseException) -> None:
        """A worker could not make a unit, and says why.

        Raises:
            BaseException: The same, if it has failed three times.
        """
        if unit not in self._running:
            return
        self._failures[unit] += 1
        if self._failures[unit] >= _MOST_FAILURES:
            raise error
        self._give_up(worker, unit)

    def lost(self, worker: int) -> None:
        """A worker is gone; what it was making waits again.

        Raises:
            UnitLostError: Whoever made it has died, again and again, and no other was done.
        """
        for unit in [each for each, run in self._running.items() if worker in run.workers]:
            self._deaths[unit] += 1
            if self._deaths[unit] >= _MOST_DEATHS:
                raise UnitLostError(
                    f"unit {unit}: {_MOST_DEATHS} workers have died while they made it, perhaps for"
                    " want of memory; give them less with --memory (memory= in Python)"
                )
            self._give_up(worker, unit)

    def _give_up(self, worker: int, unit: int) -> None:
        running = self._running[unit]
        running.workers.discard(worker)
        # Whoever is still at it may be the one who stands still.
        running.since = self._clock()
        if not running.workers:
            del self._running[unit]
            self._waiting.appendleft(unit)

    def _straggler(self) -> int | None:
        if not self._seconds:
            return None
        patience = max(_LEAST_SECONDS, _STRAGGLES * median(self._seconds))
        latest = self._clock() - patience
        slow = [
            (run.since, unit)
            for unit, run in self._running.items()
            if len(run.workers) == 1 and run.since < latest
        ]
        return min(slow)[1] if slow else None
