"""Ctrl-C between two steps, not in the middle of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["deferred_interrupt"]


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold SIGINT back until the block is over, so that what an encoder returned is not lost.

    A second SIGINT goes through at once. Threads other than the main one never see signals, so
    there this does nothing.
    """
    original = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(original):
        yield
        return
    arrived: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if arrived:
            original(number, frame)
        arrived.append(number)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, original)
    if arrived:
        original(signal.SIGINT, None)
