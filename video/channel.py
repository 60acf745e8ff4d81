"""Items from one thread to another.

Waiting is done in ``queue.SimpleQueue`` alone, as ``video.background`` explains.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from video.room import Room

__all__ = ["Channel", "ClosedError"]

T = TypeVar("T")


class ClosedError(Exception):
    """Nobody takes items any longer."""


class _End:
    """The last thing in a queue: no items follow, on account of an error or for want of them."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Channel(Generic[T]):
    """Items from one thread to another, at most ``most`` of them waiting."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"expected room for at least 1 item, found {most}")
        self._items: SimpleQueue[T | _End] = SimpleQueue()
        self._room = Room(most)
        self._owed = 0

    def put(self, item: T) -> None:
        """Wait for room, and put an item into it; raises ClosedError once nobody takes any."""
        if not self._room.take():
            raise ClosedError
        self._items.put(item)

    def put_newest(self, item: T) -> int:
        """Put an item into it at once, in the oldest one's room if there is no other.

        Nothing is waited for; a channel is either filled by this or by ``put``.

        Returns:
            How many items were dropped.

        Raises:
            ClosedError: Nobody takes any.
        """
        if self._room.is_closed:
            raise ClosedError
        while self._owed and self._room.take_now():
            self._owed -= 1
        dropped = 0
        if not self._room.take_now():
            try:
                self._items.get_nowait()
                dropped = 1
            except Empty:
                # One has just been taken: its room, which comes in that thread's next step, is used
                # ahead of that.
                self._owed += 1
        self._items.put(item)
        return dropped

    @property
    def waiting(self) -> int:
        """How many items wait, about."""
        return self._items.qsize()

    def end(self, error: BaseException | None) -> None:
        """Say that no more come. This waits for nothing."""
        self._items.put(_End(error))

    def close(self) -> None:
        """Say that no more are taken, to a ``put`` that waits as well."""
        self._room.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Wait for the next item; raises StopIteration or the error that ended them."""
        item = self._items.get()
        if not isinstance(item, _End):
            self._room.give()
            return item
        self._items.put(_End(None))
        if item.error is None:
            raise StopIteration
        error, item.error = item.error, None
        try:
            raise error
        finally:
            del error

    def drain(self) -> bool:
        """Drop the items that wait, once nobody takes them; returns whether there were any."""
        left = [self._items.get() for _ in range(self._items.qsize())]
        return any(not isinstance(item, _End) for item in left)
