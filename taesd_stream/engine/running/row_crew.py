"""Threads that make pieces of what one operator of one tile makes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from queue import SimpleQueue
from time import perf_counter, thread_time
from typing import TypeAlias

from taesd_stream.engine.cores import keeping_to
from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.settings import Settings
from tiling import Interval, TilePlan
from video.background import Worker

__all__ = ["Calls", "RowCrew", "crew_of"]

Calls: TypeAlias = "SimpleQueue[_Pieces | None]"
"""Brings a thread the pieces to make, and None when it shall make no more."""

# A thread that takes longer than its core computes for it has waited for the core; where it does
# for so short a time, that tells nothing: the system lets programs take turns of some milliseconds.
_LONGER = 1.25
_TELLS_SECONDS = 0.004
# So long after a thread had to wait, others are taken to be still there.
_LATELY_SECONDS = 0.5


class RowCrew:
    """Threads that make pieces, each on one core: the caller's, some of ours, and who helps.

    A context manager: with the end of the block ours end; they begin with the first piece.

    Args:
        count: How many threads, the caller's included, which shall keep to one core as well.
        settings: Where and how they compute.

    >>> import torch
    >>> made = []
    >>> settings = Settings(torch.device("cpu"), torch.float32, "torch")
    >>> with RowCrew(2, settings) as crew:
    ...     crew.make([Interval(0, 2), Interval(2, 3)], lambda rows: made.append(rows.size))
    >>> sorted(made)
    [1, 2]
    """

    def __init__(self, count: int, settings: Settings) -> None:
        self._own = [SimpleQueue[_Pieces | None]() for _ in range(count - 1)]
        self._called = tuple(self._own)  # who makes pieces besides callers: each by a queue
        self._changing = threading.Lock()
        self._settings = settings
        self._workers: list[Worker[None]] = []
        self._waited = -_LATELY_SECONDS  # when a thread was last seen to have waited

    @property
    def count(self) -> int:
        """How many threads make the pieces of a caller, which is one of them."""
        return 1 + len(self._called)

    def in_a_crowd(self) -> bool:
        """Whether a thread lately had to wait for its core, which another program held."""
        return perf_counter() - self._waited < _LATELY_SECONDS

    def make(self, pieces: Sequence[Interval], work: Callable[[Interval], None], /) -> None:
        """Do ``work`` for every piece; what it raises is raised here when all threads are still."""
        self._begin()
        asked = _Pieces(pieces, work)
        for calls in self._called:
            calls.put(asked)
        try:
            self._take_part(asked)
            error = asked.end()
        except BaseException:
            asked.end()
            raise
        try:
            if error is not None:
                raise error
        finally:
            del error  # else its traceback and this frame would hold each other

    def help(self, calls: Calls) -> None:
        """Make pieces in this thread, which keeps to one core, until ``calls`` brings None."""
        with self._changing:
            self._called = (*self._called, calls)
        try:
            self._answer(calls)
        finally:
            with self._changing:
                self._called = tuple(each for each in self._called if each is not calls)

    def __enter__(self) -> RowCrew:
        return self

    def __exit__(self, *_: object) -> None:
        for calls in self._own[: len(self._workers)]:
            calls.put(None)
        for worker in self._workers:
            worker.wait()
        self._workers = []

    def _begin(self) -> None:
        with self._changing:
            if len(self._workers) == len(self._own):
                return
            self._workers = [
                Worker(partial(self._work, calls), then=_nothing) for calls in self._own
            ]

    def _work(self, calls: Calls) -> None:
        with keeping_to(1):
            self._answer(calls)

    def _answer(self, calls: Calls) -> None:
        while (asked := calls.get()) is not None:
            if asked.join():
                try:
                    with Computing(self._settings):
                        self._take_part(asked)
                except BaseException as error:
                    asked.fail(error)
                finally:
                    asked.leave()
            del asked  # with what it holds

    def _take_part(self, asked: _Pieces) -> None:
        began, computed = perf_counter(), thread_time()
        asked.take()
        ended, computed = perf_counter(), thread_time() - computed
        if ended - began > max(_TELLS_SECONDS, _LONGER * computed):
            self._waited = ended


def _nothing(*_: object) -> None:
    pass


def crew_of(
    plan: TilePlan, settings: Settings, *, side_by_side: int
) -> AbstractContextManager[RowCrew | None]:
    """Threads for the layers of one tile; None where it has one core, or they are not ours.

    Args:
        side_by_side: How many tiles share the cores of the plan.
    """
    inside = (plan.cores or 1) // side_by_side
    return RowCrew(inside, settings) if inside > 1 else nullcontext()


class _Pieces:
    """Pieces of one operator, which threads take one after the other.

    Args:
        pieces: The pieces.
        work: Makes one.
    """

    def __init__(self, pieces: Sequence[Interval], work: Callable[[Interval], None]) -> None:
        self._left, self._work = deque(pieces), work
        self._changing = threading.Lock()
        self._at_work, self._has_ended = 0, False
        self._error: BaseException | None = None
        self._still: SimpleQueue[None] = SimpleQueue()

    def join(self) -> bool:
        """Have ``end`` wait for this thread until it leaves; false if it comes too late."""
        with self._changing:
            self._at_work += not self._has_ended
            return not self._has_ended

    def leave(self) -> None:
        with self._changing:
            self._at_work -= 1
            if self._has_ended and not self._at_work:
                self._still.put(None)

    def take(self) -> None:
        """Make pieces until none is left."""
        while self._left:
            try:
                rows = self._left.popleft()
            except IndexError:  # another thread was quicker
                return
            self._work(rows)

    def fail(self, error: BaseException) -> None:
        """Leave what nobody has begun, on account of an error."""
        self._error = error
        self._left.clear()

    def end(self) -> BaseException | None:
        """Leave what nobody has begun, wait for those who joined, and tell what they raised."""
        self._left.clear()
        with self._changing:
            self._has_ended = True
            at_work = self._at_work
        if at_work:
            self._still.get()
        self._work = _nothing  # a thread that comes late must not hold tensors for its sake
        error, self._error = self._error, None
        return error
