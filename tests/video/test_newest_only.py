"""A thread that takes the newest of what it is given."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from video.newest_only import NewestOnly


@pytest.fixture
def slow() -> Iterator[tuple[Any, Any, list[int]]]:
    """A function that takes what it is given when it is let go on, and says that it began."""
    began, go_on, taken = threading.Semaphore(0), threading.Semaphore(0), list[int]()

    def work(item: int) -> None:
        began.release()
        go_on.acquire()
        taken.append(item)

    yield work, (began, go_on), taken
    go_on.release(9)


def test_late_ones_are_left_out(slow: Any) -> None:
    work, (began, go_on), taken = slow
    newest = NewestOnly(work)
    newest.put(0)
    began.acquire()
    for item in (1, 2, 3):
        newest.put(item)
    go_on.release(2)
    newest.close()
    assert (taken, newest.dropped) == ([0, 3], 2)


def test_the_thread_ends_when_nobody_holds_it(slow: Any) -> None:
    work, (began, go_on), taken = slow
    go_on.release(9)
    newest = NewestOnly(work)
    newest.put(0)
    began.acquire()
    worker = newest._writing._worker  # type: ignore[union-attr]
    dead = weakref.ref(newest)
    del newest
    gc.collect()
    assert dead() is None
    worker.wait(10)
    assert not worker.is_running
    assert taken == [0]


def test_the_last_picture_is_there_when_the_process_ends_and_a_fork_makes_its_own(
    tmp_path: Path,
) -> None:
    program = f"""
import os, time
from video.newest_only import NewestOnly
def write(name):
    time.sleep(0.05)
    open(os.path.join({str(tmp_path)!r}, name), "w").close()
newest = NewestOnly(write)
newest.put("a")
if os.fork() == 0:
    newest.put("child")
    newest.close()
    os._exit(0)
os.wait()
newest.put("z")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=120)
    assert sorted(os.listdir(tmp_path)) == ["a", "child", "z"]
