"""A thread that makes something of the newest of what it is given, and holds nobody up."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Generic, TypeAlias, TypeVar

from video.closing import Closing
from video.worker import Worker

__all__ = ["Check", "MayBegin", "NewestOnly", "TakenOverError"]

T = TypeVar("T")
R = TypeVar("R")

Check: TypeAlias = Callable[[], None]
"""To be called now and then in long work; raises ``TakenOverError``."""

MayBegin: TypeAlias = Callable[[T, float], bool]
"""Whether the thread, which has made nothing for so many seconds, may begin with an item."""

_SECONDS_TO_END = 1.0
_LOOK_AGAIN = 0.1


class TakenOverError(BaseException):
    """Ends work in the thread that somebody else goes on with."""


class NewestOnly(Closing, Generic[T, R]):
    """Items from which a thread of its own makes something, one by one.

    Of those that come while it is at work, or rests, it gets the newest; the others are dropped.
    ``close``, or the process at its end, does itself what is left of the last item, at once. Where
    nobody holds this any more, the thread does it, and ends. A forked child has its own thread.

    Args:
        make: Makes something of an item; its check is None in the thread of who waits for it. It
            must not hold this, nor raise.
        take: Takes what was made, by one thread at a time and in the order of items; the same.
        may_begin: Asked before an item is begun, and ten times a second until it may be; the same.

    >>> seen = []
    >>> with NewestOnly(lambda item, check: 10 * item, seen.append) as newest:
    ...     newest.put(1)
    >>> seen
    [10]
    """

    def __init__(
        self,
        make: Callable[[T, Check | None], R],
        take: Callable[[R], None],
        may_begin: MayBegin[T] = lambda item, rested: True,
    ) -> None:
        self.dropped = 0
        self._make, self._take, self._may_begin = make, take, may_begin
        self._line: _Line[T, R] | None = None

    def put(self, item: T) -> None:
        """Hand over one more; this waits for nothing."""
        if self._line is None or not self._line.is_of_this_process:
            self._line = _Line(self._make, self._take, self._may_begin)
            # At exit the line itself sees to it that the thread is not left in the middle.
            weakref.finalize(self, self._line.end).atexit = False
        self.dropped += self._line.put(item)

    def close(self) -> None:
        """Do what is left to be done; a later item begins anew."""
        line, self._line = self._line, None
        if line is not None and line.is_of_this_process:
            line.finish()
            line.worker.wait(_SECONDS_TO_END)


class _Line(Generic[T, R]):
    """The item in work, the one that waits, and the thread.

    Attributes:
        worker: The thread.
    """

    def __init__(
        self,
        make: Callable[[T, Check | None], R],
        take: Callable[[R], None],
        may_begin: MayBegin[T],
    ) -> None:
        self._make, self._take, self._may_begin = make, take, may_begin
        self._process = os.getpid()
        self._waiting: deque[T] = deque(maxlen=1)
        self._in_work: deque[T] = deque(maxlen=1)
        self._more_come: SimpleQueue[bool] = SimpleQueue()
        self._turn = threading.Lock()  # of who takes an item, or what was made of it
        self._is_taken_over = False
        atexit.register(self._at_exit)
        self.worker = Worker(self._work_off, then=lambda: atexit.unregister(self._at_exit))

    @property
    def is_of_this_process(self) -> bool:
        """Whether the thread runs in this process, and not in the one that was forked."""
        return self._process == os.getpid()

    def put(self, item: T) -> int:
        """Let an item wait; returns how many were dropped for it."""
        dropped = len(self._waiting)
        self._waiting.append(item)
        self._more_come.put(True)
        return dropped

    def end(self) -> None:
        """Say that this was all, and wait for nothing."""
        self._more_come.put(False)

    def finish(self) -> None:
        """Do in this thread what is left; a second call does nothing."""
        with self._turn:
            self._is_taken_over = True
            self._begin_newest()
            left = list(self._in_work)
            self._in_work.clear()
        self.end()
        for item in left:
            self._take(self._make(item, None))

    def _at_exit(self) -> None:
        if self.is_of_this_process:
            self.finish()
            self.worker.wait()

    def _work_off(self) -> None:
        more, rests_since = True, monotonic()
        while more:
            more = self._more_come.get()
            while self._waiting and not self._is_taken_over:
                if more and not self._may_begin_after(monotonic() - rests_since):
                    with suppress(Empty):
                        more = self._more_come.get(timeout=_LOOK_AGAIN)
                    continue
                self._do_newest()
                rests_since = monotonic()

    def _may_begin_after(self, rested: float) -> bool:
        return all(self._may_begin(item, rested) for item in list(self._waiting))

    def _do_newest(self) -> None:
        with self._turn:
            self._begin_newest()
        for item in list(self._in_work):
            try:
                made = self._make(item, self._check)
            except TakenOverError:
                return
            with self._turn:
                if not self._is_taken_over:
                    self._in_work.clear()
                    self._take(made)

    def _begin_newest(self) -> None:
        """Take the item that waits, if one does, into work in the place of the one that is."""
        with suppress(IndexError):
            self._in_work.append(self._waiting.pop())

    def _check(self) -> None:
        if self._is_taken_over:
            raise TakenOverError
