"""Encoded pictures on their way to one viewer, who may be slow."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from video.live_encoding import EncodedPicture

__all__ = ["PacketQueue"]

MOST_WAITING: Final = 8


class PacketQueue:
    """Encoded pictures for one viewer; when they are too many, all go, up to the next key picture.

    A picture that needs others cannot be left out alone: what follows it would be wrong.

    Attributes:
        dropped: Pictures that this viewer did not get.
        needs_key: Whether only a key picture is of use now.

    >>> queue = PacketQueue()
    >>> for number in range(9):
    ...     queue.put(EncodedPicture(b"", number, is_key=number == 1))
    >>> queue.dropped, queue.needs_key, len(queue)
    (1, False, 8)
    >>> queue.put(EncodedPicture(b"", 9, is_key=False))
    >>> queue.dropped, queue.needs_key, len(queue)
    (10, True, 0)
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.needs_key = True
        self._waiting: deque[EncodedPicture] = deque()
        self._come = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, picture: EncodedPicture) -> None:
        """Hand one over."""
        if len(self._waiting) == MOST_WAITING:
            self.dropped += MOST_WAITING
            self._waiting.clear()
            self.needs_key = True
        if picture.is_key:
            self.needs_key = False
        if self.needs_key:
            self.dropped += 1
            return
        self._waiting.append(picture)
        self._come.set()

    async def get(self) -> EncodedPicture:
        """The next one, once it is there."""
        while not self._waiting:
            self._come.clear()
            await self._come.wait()
        return self._waiting.popleft()
