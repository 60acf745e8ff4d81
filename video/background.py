"""Reading ahead and writing behind, in a thread with a bounded queue to the caller's thread.

``ReadAhead`` makes items in the background, ``WriteBehind`` takes them there. What the
user gives to a stage runs in the caller's thread if it can: torch's grad mode, its current device
and Ctrl-C all belong to a thread.

Waiting is done in ``queue.SimpleQueue`` alone. Its methods are single steps to a signal handler, so
that a KeyboardInterrupt in between leaves no lock held that the other thread would wait for.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NoReturn, Self, TypeVar

from video.channel import Channel, ClosedError
from video.closing import Closing
from video.room import Room
from video.worker import Worker

__all__ = [
    "AbandonedError",
    "ReadAhead",
    "Room",
    "Worker",
    "WriteBehind",
    "room_for",
]

T = TypeVar("T")
R = TypeVar("R")

# What is read is mostly there in no time, but a pipe may never bring more.
_AT_EXIT_SECONDS = 2.0


def room_for(item_bytes: int, *, most_items: int, most_bytes: int) -> int:
    """The number of items of so many bytes that a queue may hold: at least one, whatever its size.

    >>> room_for(100, most_items=4, most_bytes=250), room_for(1000, most_items=4, most_bytes=250)
    (2, 1)
    """
    return max(1, min(most_items, most_bytes // max(1, item_bytes)))


class AbandonedError(Exception):
    """Tells a function in the background that the caller gave up on account of an error."""


class ReadAhead(Closing, Generic[T]):
    """The items of an iterator, made in a background thread before they are asked for.

    An iterator. At most ``most`` items wait, and one more is being made. What making them raises is
    raised here, after the items that came before, as it came: with its traceback and its notes.
    ``close``, the end of a ``with`` block, or the garbage collector stops the thread, which then
    closes ``items`` if that is a generator.

    Args:
        items: Used by no other thread until this is closed.
        most: Items that may wait.

    >>> with ReadAhead(iter("abc"), most=2) as letters:
    ...     list(letters)
    ['a', 'b', 'c']
    """

    def __init__(self, items: Iterable[T], *, most: int) -> None:
        channel = Channel[T](most)
        self._channel = channel

        # The thread must not hold this object, or the garbage collector would never have it.
        def at_exit() -> None:
            channel.close()
            worker.wait(_AT_EXIT_SECONDS)

        def then() -> None:
            channel.close()
            atexit.unregister(at_exit)

        atexit.register(at_exit)
        worker = self._worker = Worker(lambda: _put_all(items, channel), then=then)
        self._unreachable = weakref.finalize(self, channel.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return next(self._channel)

    def close(self) -> None:
        """Stop, and wait until the item that is being made is done with; others are dropped."""
        self._unreachable()
        self._worker.wait()


def _put_all(items: Iterable[T], channel: Channel[T]) -> None:
    """Put every item; then the end, with the error that made it, if there was one."""
    failure: BaseException | None = None
    try:
        try:
            for item in items:
                channel.put(item)
        finally:
            closing = getattr(items, "close", None)
            if closing is not None:
                closing()
    except ClosedError:
        return
    except BaseException as error:
        failure = error
    channel.end(failure)
    del failure  # else its traceback and this frame would hold each other


class WriteBehind(Generic[T, R]):
    """Items for a function that takes them, one by one, in a background thread.

    A context manager, or something to ``finish`` or ``stop``. At most ``most`` items wait. When the
    block ends, all that were put have been taken and the function has returned, or failed. An error
    in the block ends its items: with KeyboardInterrupt for KeyboardInterrupt, else with
    ``AbandonedError``. An error of the function is raised by the next ``put`` or ``check``, or when
    the block ends; so is RuntimeError where it returns before it has taken every item.

    While a block that ended well is waited for, a first Ctrl-C is held back. One that comes while a
    block that failed is waited for goes through at once, and leaves the thread to itself.

    Args:
        work: The function. Its argument ends when the block does.
        most: Items that may wait.

    >>> with WriteBehind(sum, most=2) as adding:
    ...     for number in (1, 2, 3):
    ...         adding.put(number)
    >>> adding.result
    6
    """

    def __init__(self, work: Callable[[Iterator[T]], R], *, most: int) -> None:
        channel = Channel[T](most)
        self._channel = channel
        self._worker = Worker(lambda: work(iter(channel)), then=channel.close)

    @property
    def is_running(self) -> bool:
        """Whether the function is still at work."""
        return self._worker.is_running

    @property
    def waiting(self) -> int:
        """How many items wait to be taken, about: the thread may be taking one."""
        return self._channel.waiting

    @property
    def result(self) -> R:
        """The function's result; to be asked for after the block."""
        return self._worker.result

    def put(self, item: T) -> None:
        """Hand over one more, as soon as there is room."""
        try:
            self._channel.put(item)
        except ClosedError:
            self._refuse()

    def put_newest(self, item: T) -> int:
        """Hand over one more at once: the oldest that waits makes room for it, if need be.

        Returns:
            How many were dropped.
        """
        try:
            return self._channel.put_newest(item)
        except ClosedError:
            self._refuse()

    def check(self) -> None:
        """Raise what the function raised, if it has; for the middle of long work."""
        if self._worker.error is not None:
            raise self._worker.error

    def end(self) -> None:
        """Say that this was all, and wait for nothing: the thread takes it, and ends."""
        self._channel.end(None)

    def finish(self, on_interrupt: Callable[[], None] | None = None) -> None:
        """Say that this was all, and wait until it is taken and the function has returned.

        Args:
            on_interrupt: Called where Ctrl-C comes meanwhile, which is held back until the end.
        """
        try:
            self.end()
            self._worker.wait()
        except KeyboardInterrupt:
            if on_interrupt is not None:
                on_interrupt()
            self.end()  # it may have come before the first; a second does no harm
            self._worker.wait()
            raise
        self.check()
        if self._channel.drain():
            raise _took_less()

    def stop(self, told: BaseException | None = None) -> None:
        """End the function by an error in place of the next item, ``AbandonedError`` if None.

        Returns when the function has ended; what it raised is not raised here. Nothing happens if
        it has ended before.
        """
        self._channel.end(AbandonedError() if told is None else told)
        self._worker.wait()
        self._channel.drain()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            self.finish()
            return
        told = KeyboardInterrupt() if isinstance(error, KeyboardInterrupt) else AbandonedError()
        self.stop(told)
        if self._worker.error not in (None, error, told):
            self.check()

    def _refuse(self) -> NoReturn:
        """Raise what ended the function before its items."""
        self._worker.wait()
        self.check()
        raise _took_less() from None


def _took_less() -> RuntimeError:
    return RuntimeError("expected a function that takes every item, found that it ended before")
