"""A thread that takes the newest of what it is given, and holds nobody up."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from video.background import WriteBehind
from video.closing import Closing

__all__ = ["NewestOnly"]

T = TypeVar("T")

_LAST_IN_LINE = 19


class NewestOnly(Closing, Generic[T]):
    """Items for a function that takes them one by one, in a thread of its own.

    Of those that come while it is at work, it gets the newest; the others are dropped. On Linux the
    thread computes when nobody else wants the core. It begins with the first item, and ends by
    ``close``, when nobody holds this any more, or with the process; what waits is done before. A
    forked child has a thread of its own.

    Args:
        work: The function; it must not hold this, nor raise.

    >>> seen = []
    >>> with NewestOnly(seen.append) as newest:
    ...     newest.put(1)
    >>> seen
    [1]
    """

    def __init__(self, work: Callable[[T], None]) -> None:
        self.dropped = 0
        self._work, self._process = work, os.getpid()
        self._writing: WriteBehind[T, None] | None = None

    def put(self, item: T) -> None:
        """Hand over one more; this waits for nothing."""
        if self._writing is None or self._process != os.getpid():
            self._writing, self._process = _begun(self._work), os.getpid()
            # Not at exit, when the thread would be left in the middle of its work.
            weakref.finalize(self, self._writing.end).atexit = False
        self.dropped += self._writing.put_newest(item)

    def close(self) -> None:
        """Wait until all is done; a later item begins anew."""
        writing, self._writing = self._writing, None
        if writing is not None and self._process == os.getpid():
            writing.finish()


def _begun(work: Callable[[T], None]) -> WriteBehind[T, None]:
    process = os.getpid()

    def work_off(items: Iterator[T]) -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LAST_IN_LINE)
        for item in items:
            work(item)
            del item  # else it would be held while the next one is waited for
        atexit.unregister(at_exit)

    def at_exit() -> None:
        if os.getpid() == process:
            writing.finish()

    atexit.register(at_exit)
    writing = WriteBehind(work_off, most=1)
    return writing
