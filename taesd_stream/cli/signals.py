"""Signals that end a program: at once, or as the interrupt that all our writers tidy up after."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["ends_as_interrupts", "ends_at_once"]

# Batch systems, containers and service managers end a job with SIGTERM; a terminal that is closed
# sends SIGHUP. Windows has no SIGHUP.
_ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_UNTOUCHED = (signal.SIG_DFL, signal.default_int_handler)

_Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Inside it, SIGINT, SIGTERM and SIGHUP end the process without ado: for loading modules.

    KeyboardInterrupt would not do. NumPy and PyTorch import parts of themselves under handlers that
    catch everything, so that one in five of them was lost, and the work began.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        print("taesd-video: interrupted", file=sys.stderr, flush=True)
        os._exit(128 + number)

    with _handled((signal.SIGINT, *_ENDS), leave):
        yield


@contextlib.contextmanager
def ends_as_interrupts(came: list[int]) -> Iterator[None]:
    """Inside it, SIGTERM and SIGHUP do what SIGINT does; ``came`` tells which of them came."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler = signal.getsignal(signal.SIGINT)  # a writer may be holding SIGINT back just now
        if not callable(handler):
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    with _handled(_ENDS, interrupt):
        yield


@contextlib.contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: _Handler) -> Iterator[None]:
    """Inside it, these signals go to ``handler``, if nobody ignores them (nohup) or handles them.

    Threads other than the main one cannot set handlers: there this does nothing.
    """
    ours = threading.current_thread() is threading.main_thread()
    before = {each: signal.getsignal(each) for each in numbers if ours}
    taken = [each for each, original in before.items() if original in _UNTOUCHED]
    for each in taken:
        signal.signal(each, handler)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, before[each])
