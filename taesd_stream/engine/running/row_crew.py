"""Threads that make pieces of what one operator of one tile makes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue

from taesd_stream.engine.cores import keeping_to
from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.settings import Settings
from tiling import Interval, TilePlan
from video.background import Worker

__all__ = ["RowCrew", "crew_of"]


class RowCrew:
    """Threads that make pieces, each on one core, from one queue; they begin with the first piece.

    A context manager: with the end of the block they end.

    Args:
        count: How many threads.
        settings: Where and how they compute.

    Attributes:
        count: The same.

    >>> import torch
    >>> made = []
    >>> settings = Settings(torch.device("cpu"), torch.float32, "torch")
    >>> with RowCrew(2, settings) as crew:
    ...     crew.make([Interval(0, 2), Interval(2, 3)], lambda rows: made.append(rows.size))
    >>> sorted(made)
    [1, 2]
    """

    def __init__(self, count: int, settings: Settings) -> None:
        self.count = count
        self._settings = settings
        self._asked: SimpleQueue[_Pieces | None] = SimpleQueue()
        self._workers: list[Worker[None]] = []

    def make(self, pieces: Sequence[Interval], work: Callable[[Interval], None], /) -> None:
        """Do ``work`` for every piece; what it raises is raised here when all threads are still."""
        if not self._workers:
            self._workers = [Worker(self._work, then=_nothing) for _ in range(self.count)]
        asked = _Pieces(pieces, work)
        for _ in self._workers:
            self._asked.put(asked)
        try:
            asked.wait()
        except BaseException:
            asked.drop()
            asked.wait()
            raise

    def __enter__(self) -> RowCrew:
        return self

    def __exit__(self, *_: object) -> None:
        for _worker in self._workers:
            self._asked.put(None)
        for worker in self._workers:
            worker.wait()
        self._workers = []

    def _work(self) -> None:
        with keeping_to(1):
            while (asked := self._asked.get()) is not None:
                with Computing(self._settings):
                    asked.take_part()
                del asked  # with what it holds


def _nothing(*_: object) -> None:
    pass


def crew_of(plan: TilePlan, settings: Settings) -> AbstractContextManager[RowCrew | None]:
    """Threads for the layers of one tile; None where it has one core, or they are not ours."""
    inside = (plan.cores or 1) // plan.threads
    return RowCrew(inside, settings) if inside > 1 else nullcontext()


class _Pieces:
    """Pieces of one operator, which threads take one after the other.

    Args:
        pieces: The pieces; at least one.
        work: Makes one.
    """

    def __init__(self, pieces: Sequence[Interval], work: Callable[[Interval], None]) -> None:
        self._left, self._open, self._work = deque(pieces), len(pieces), work
        self._counting = threading.Lock()
        self._error: BaseException | None = None
        self._ended: SimpleQueue[None] = SimpleQueue()

    def take_part(self) -> None:
        """Make pieces until none is left."""
        while self._left:
            try:
                rows = self._left.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                self._work(rows)
            except BaseException as error:
                self._error = error
                self.drop()
            self._count(1)

    def drop(self) -> None:
        """Leave what nobody has begun."""
        dropped = 0
        while self._left:
            try:
                self._left.pop()
            except IndexError:
                break
            dropped += 1
        if dropped:
            self._count(dropped)

    def wait(self) -> None:
        """Until all are made; raises what making one of them raised."""
        self._ended.get()
        self._ended.put(None)
        self._work = _nothing  # a thread that comes late must not hold tensors for its sake
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _count(self, done: int) -> None:
        with self._counting:
            self._open -= done
            if not self._open:
                self._ended.put(None)
