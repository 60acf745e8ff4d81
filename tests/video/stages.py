"""What tests of stages that run at the same time share: a producer, and Ctrl-C at a time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

LONG_SECONDS = 20
"""After which a test that hangs is given up; nothing waits so long where all is well."""


class Counting:
    """Numbers without end; how many were asked for, and whether they were closed."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.reached: SimpleQueue[int] = SimpleQueue()

    def __iter__(self) -> Iterator[int]:
        while True:
            self.made += 1
            self.reached.put(self.made)
            yield self.made - 1

    def close(self) -> None:
        self.closed.set()

    def wait_for(self, number: int) -> None:
        while self.reached.get(timeout=LONG_SECONDS) < number:
            pass


@contextmanager
def ctrl_c_once(reached: threading.Event) -> Iterator[threading.Event]:
    """SIGINT for the main thread when ``reached`` is set; yields what is set once it came through.

    Sent again until it does: one that comes after a wait has let other threads run, and before it
    sleeps, is seen when the wait ends only.
    """
    came = threading.Event()

    def handle(number: int, frame: object) -> None:
        if not came.is_set():
            came.set()
            raise KeyboardInterrupt

    def send() -> None:
        assert reached.wait(LONG_SECONDS)
        while not came.wait(0.2):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, handle)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield came
    finally:
        came.set()
        sender.join()
        signal.signal(signal.SIGINT, before)
