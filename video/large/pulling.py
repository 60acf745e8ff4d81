"""For libraries that pull what they write from an iterator, while we push."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PullThread"]

Item = TypeVar("Item")


class _StoppedError(Exception):
    """Unwinds the library when nobody wants its work any more."""


class PullThread(Generic[Item]):
    """Runs ``consume(items)`` in a thread; ``put`` feeds the iterator it is given.

    At most ``depth`` items wait. What ``consume`` raises comes out of the next ``put`` or of
    ``finish``. Whoever makes one calls ``stop`` in the end.

    Example:
        >>> taken: list[int] = []
        >>> thread = PullThread(taken.extend, depth=1)
        >>> thread.put(1), thread.put(2), thread.finish(), thread.stop()
        (None, None, None, None)
        >>> taken
        [1, 2]
    """

    def __init__(self, consume: Callable[[Iterator[Item]], object], *, depth: int) -> None:
        self._consume = consume
        self._depth = depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._complete = self._stopped = self._over = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="video-large-pull", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand ``item`` on; waits while the queue is full.

        Raises:
            RuntimeError: if the consumer has returned without it; or what it raised.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or len(self._items) < self._depth)
            if self._over:
                self._fail()
            self._items.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        """Say that this was all, and wait until it is consumed.

        Raises:
            RuntimeError: if the consumer has returned before the end; or what it raised.
        """
        with self._changed:
            self._complete = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over)
            if self._error is not None or self._items:
                self._fail()

    def stop(self) -> None:
        """Stop the consumer wherever it is, and wait for it; nothing happens if it is done."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
        self._items.clear()

    def _fail(self) -> NoReturn:
        if self._error is not None:
            raise self._error
        raise RuntimeError("the library took less than it was given")

    def _run(self) -> None:
        try:
            self._consume(self._pull())
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _pull(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._complete or self._stopped)
                if self._stopped:
                    raise _StoppedError
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
