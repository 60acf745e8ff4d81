"""Signals that end a program, turned into the interrupt that all our writers tidy up after."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["ends_as_interrupts"]

# Batch systems, containers and service managers end a job with SIGTERM; a terminal that is closed
# sends SIGHUP. Windows has no SIGHUP.
_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def ends_as_interrupts() -> Iterator[list[int]]:
    """Inside it, SIGTERM and SIGHUP do what SIGINT does; yields the numbers of those that came.

    A signal that is ignored stays so (nohup), and so does one that somebody else handles. Threads
    other than the main one cannot set handlers: there this does nothing.
    """
    came: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler = signal.getsignal(signal.SIGINT)  # a writer may be holding SIGINT back just now
        if not callable(handler):
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    ours = threading.current_thread() is threading.main_thread()
    taken = [each for each in _ENDS if ours and signal.getsignal(each) is signal.SIG_DFL]
    for each in taken:
        signal.signal(each, interrupt)
    try:
        yield came
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
