"""A thread that takes the newest of what it is given."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from video.newest_only import Check, NewestOnly


class Slow:
    """Makes what it is given when it is let go on, and says that it began."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.taken: list[tuple[int, bool]] = []

    def make(self, item: int, check: Check | None) -> tuple[int, bool]:
        self.began.release()
        self.go_on.acquire()
        if check is not None:
            check()
        return item, check is None

    def take(self, made: tuple[int, bool]) -> None:
        self.taken.append(made)


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go_on.release(9)


def test_late_ones_are_left_out_and_who_closes_does_the_last_itself(slow: Slow) -> None:
    newest = NewestOnly(slow.make, slow.take)
    newest.put(0)
    slow.began.acquire()
    slow.go_on.release()
    while not slow.taken:
        time.sleep(0.001)
    newest.put(1)
    slow.began.acquire()
    for item in (2, 3, 4):
        newest.put(item)
    slow.go_on.release(2)
    newest.close()
    assert slow.taken in ([(0, False), (4, True)], [(0, False), (1, False), (4, True)])
    assert newest.dropped == 2


def test_who_closes_takes_over_what_is_in_work(slow: Slow) -> None:
    newest = NewestOnly(slow.make, slow.take)
    newest.put(0)
    slow.began.acquire()
    line = newest._line
    assert line is not None
    closing = threading.Thread(target=newest.close)
    closing.start()
    slow.began.acquire()  # a second time, by who closes
    slow.go_on.release(2)
    closing.join()
    line.worker.wait(10)
    assert not line.worker.is_running
    assert slow.taken == [(0, True)]


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_thread_that_rests_begins_with_the_newest_and_nobody_waits_for_it(
    slow: Slow, is_closed: bool
) -> None:
    slow.go_on.release(9)
    asked, may_begin = threading.Semaphore(0), threading.Event()

    def rests(item: int, rested: float) -> bool:
        asked.release()
        return may_begin.is_set()

    newest = NewestOnly(slow.make, slow.take, rests)
    for item in (0, 1, 2):
        newest.put(item)
        assert asked.acquire(timeout=10)
    assert newest.dropped == 2
    if is_closed:
        newest.close()
        assert slow.taken == [(2, True)]
        return
    may_begin.set()
    slow.began.acquire()
    newest.close()
    assert slow.taken in ([(2, False)], [(2, True)])


def test_the_thread_ends_when_nobody_holds_it(slow: Slow) -> None:
    slow.go_on.release(9)
    newest = NewestOnly(slow.make, slow.take, lambda item, rested: False)
    newest.put(0)
    line, dead = newest._line, weakref.ref(newest)
    assert line is not None
    del newest
    gc.collect()
    assert dead() is None
    line.worker.wait(10)
    assert not line.worker.is_running
    assert slow.taken == [(0, False)]


def test_the_last_picture_is_there_when_the_process_ends_and_a_fork_makes_its_own(
    tmp_path: Path,
) -> None:
    program = f"""
import os, time
from video.newest_only import NewestOnly
def make(name, check):
    time.sleep(0.05)
    return name
def write(name):
    open(os.path.join({str(tmp_path)!r}, name), "w").close()
newest = NewestOnly(make, write)
newest.put("a")
if os.fork() == 0:
    newest.put("child")
    newest.close()
    os._exit(0)
os.wait()
newest.put("z")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)
    assert {"child", "z"} <= set(os.listdir(tmp_path)) <= {"a", "child", "z"}
