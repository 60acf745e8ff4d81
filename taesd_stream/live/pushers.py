"""Those who push latents by sockets, of whom there may be so many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Pusher", "Pushers"]

_BUSY_SECONDS: Final = 10.0
"""Who had a latent taken within this time does not make room for another."""


class Pusher:
    """One who pushes.

    Attributes:
        taken_at: When a latent of theirs was taken last, by the clock of all; None if none was.
        is_unwanted: Whether they are to make room.
    """

    def __init__(self) -> None:
        self.taken_at: float | None = None
        self.is_unwanted = False
        self._patience: asyncio.Timeout | None = None

    @contextmanager
    def waiting(self, patience: asyncio.Timeout) -> Iterator[None]:
        """Inside it, the patience with them ends when they are to make room."""
        self._patience = patience
        try:
            yield
        finally:
            self._patience = None

    def send_away(self) -> None:
        """Have them make room."""
        self.is_unwanted = True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())


class Pushers:
    """All who push. One too many takes the room of whoever had nothing taken for the longest time,
    so that nobody can keep others out by doing nothing, or nothing right.

    Args:
        most: How many there may be.
        clock: Seconds.

    >>> now = 0.0
    >>> pushers = Pushers(2, lambda: now)
    >>> good, idle = pushers.enter(), pushers.enter()
    >>> pushers.took(good)
    >>> third = pushers.enter()
    >>> idle.is_unwanted, good.is_unwanted
    (True, False)
    >>> pushers.took(third)
    >>> pushers.enter() is None
    True
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._present: list[Pusher] = []

    def enter(self) -> Pusher | None:
        """One more; None if all are busy."""
        if len(self._present) >= self._most:
            idle = min(self._present, key=_last_taken)
            if idle.taken_at is not None and self._clock() - idle.taken_at < _BUSY_SECONDS:
                return None
            self._present.remove(idle)
            idle.send_away()
        pusher = Pusher()
        self._present.append(pusher)
        return pusher

    def took(self, pusher: Pusher) -> None:
        """A latent of theirs was taken."""
        pusher.taken_at = self._clock()

    def leave(self, pusher: Pusher) -> None:
        """They are gone; a second call does nothing."""
        if pusher in self._present:
            self._present.remove(pusher)


def _last_taken(pusher: Pusher) -> float:
    return float("-inf") if pusher.taken_at is None else pusher.taken_at
