"""The newest of what goes on, for followers that each have a pace of their own."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

__all__ = ["Newest"]

T = TypeVar("T")


class Newest(Generic[T]):
    """The newest item, put by any thread and followed in one event loop.

    A follower that is slow gets the newest one when it asks, and none of those before.

    Args:
        loop: That of the followers.

    Attributes:
        count: How many were put.

    >>> async def follow() -> tuple[int, str]:
    ...     newest = Newest[str](asyncio.get_running_loop())
    ...     newest.put("a")
    ...     newest.put("b")
    ...     return await newest.after(0)
    >>> asyncio.run(follow())
    (2, 'b')
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count = 0
        self._loop = loop
        self._latest: tuple[int, T] | None = None
        self._come = asyncio.Event()

    @property
    def item(self) -> T | None:
        """The newest; None before the first."""
        latest = self._latest
        return None if latest is None else latest[1]

    def put(self, item: T) -> None:
        """Put one more, by one thread at a time."""
        self.count += 1
        self._latest = (self.count, item)
        self._loop.call_soon_threadsafe(self._wake)

    async def after(self, count: int) -> tuple[int, T]:
        """The newest, once more than ``count`` were put, and how many were put then."""
        while (latest := self._latest) is None or latest[0] <= count:
            await self._come.wait()
        return latest

    def _wake(self) -> None:
        come, self._come = self._come, asyncio.Event()
        come.set()
