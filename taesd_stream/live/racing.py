"""Works side by side, of which the first to end ends all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["until_first"]


async def until_first(*works: Coroutine[Any, Any, object]) -> None:
    """Run works until one ends, and cancel the others; what that one raises is raised.

    >>> async def count() -> None:
    ...     print("one")
    ...     await asyncio.sleep(60)
    >>> asyncio.run(until_first(count(), asyncio.sleep(0)))
    one
    """
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
