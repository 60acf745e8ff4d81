"""Room that threads wait for: the bound of what one of them hands to another.

Waiting is done in ``queue.SimpleQueue`` alone, as ``video.background`` explains.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue

__all__ = ["Room"]


class Room:
    """Room for so many things; without a number, for any.

    >>> room = Room(1)
    >>> room.take(), room.close(), room.take()
    (True, None, False)
    """

    def __init__(self, most: int | None) -> None:
        self._is_limited = most is not None
        self._free: SimpleQueue[None] = SimpleQueue()
        self._is_closed = False
        for _ in range(most or 0):
            self._free.put(None)

    @property
    def is_closed(self) -> bool:
        """Whether there will be none any more."""
        return self._is_closed

    def take(self) -> bool:
        """Wait for room; returns False once there will be none any more."""
        if self._is_limited and not self._is_closed:
            self._free.get()
        if self._is_closed:
            self._free.put(None)  # for the next one who waits
        return not self._is_closed

    def take_now(self) -> bool:
        """Take room if there is some, without waiting; returns whether there was.

        >>> room = Room(1)
        >>> room.take_now(), room.take_now()
        (True, False)
        """
        if self._is_limited and not self._is_closed:
            try:
                self._free.get_nowait()
            except Empty:
                return False
        return not self._is_closed

    def give(self) -> None:
        self._free.put(None)

    def close(self) -> None:
        """End all waiting."""
        self._is_closed = True
        self._free.put(None)
