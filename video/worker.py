"""A function at work in a thread of its own.

Waiting is done in ``queue.SimpleQueue`` alone, as ``video.background`` explains.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

__all__ = ["Worker"]

R = TypeVar("R")


class Worker(Generic[R]):
    """A function at work in a thread.

    Args:
        work: The function.
        then: Called there when it has ended in whatever way.

    Attributes:
        result: What it returned.
        error: What it raised.
        is_running: Whether it is still at work.
    """

    result: R

    def __init__(self, work: Callable[[], R], *, then: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        # Not Thread.is_alive, nor join before the end: interrupted, those of Python 3.11 take the
        # thread for ended.
        self.is_running = True
        self._work, self._then = work, then
        self._ended: SimpleQueue[None] = SimpleQueue()
        # A daemon, since a thread that Ctrl-C left to itself must not keep the process.
        self._thread = threading.Thread(target=self._run, name="taesd-stream", daemon=True)
        self._thread.start()

    def wait(self, at_most: float | None = None) -> None:
        """Until it has ended, or Ctrl-C comes, or so many seconds have passed.

        When Python ends it stops threads where they are, and takes apart what is left after that:
        then there is nothing to wait for.
        """
        if sys.is_finalizing():
            return
        try:
            self._ended.get(timeout=at_most)
        except Empty:
            return
        self._ended.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:
            self.error = error
        finally:
            del self._work  # with all that it holds
            self._then()
            self.is_running = False
            self._ended.put(None)
