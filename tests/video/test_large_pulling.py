from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from video.large.pulling import PullThread


def test_items_arrive_in_order_and_few_wait() -> None:
    taken: list[int] = []
    held = threading.Semaphore(0)
    put: list[int] = []

    def consume(items: Iterator[int]) -> None:
        for item in items:
            held.acquire()
            taken.append(item)

    thread = PullThread(consume, depth=2)

    def feed() -> None:
        for item in range(20):
            thread.put(item)
            put.append(item)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.1)
    assert feeder.is_alive()
    assert len(put) <= 3
    held.release(20)
    feeder.join()
    thread.finish()
    thread.stop()
    assert taken == list(range(20))


def test_an_error_comes_out_of_put_and_finish() -> None:
    def consume(items: Iterator[int]) -> None:
        next(items)
        raise OSError(28, "No space left on device")

    thread = PullThread(consume, depth=1)

    def feed() -> None:
        for item in range(10):
            thread.put(item)

    with pytest.raises(OSError, match="No space left"):
        feed()
    with pytest.raises(OSError, match="No space left"):
        thread.finish()
    thread.stop()


def test_an_error_at_the_end_comes_out_of_finish() -> None:
    def consume(items: Iterator[int]) -> None:
        list(items)
        raise ValueError("the trailer")

    thread = PullThread(consume, depth=4)
    thread.put(1)
    with pytest.raises(ValueError, match="the trailer"):
        thread.finish()
    thread.stop()


def test_a_consumer_that_takes_too_little_is_an_error() -> None:
    thread = PullThread(next, depth=2)

    def feed() -> None:
        for item in range(9):
            thread.put(item)

    with pytest.raises(RuntimeError, match="less than it was given"):
        feed()
    thread.stop()


def test_stop_ends_a_waiting_consumer() -> None:
    taken: list[int] = []
    thread = PullThread(taken.extend, depth=1)
    thread.put(1)
    thread.stop()
    thread.stop()
    assert not any(one.name == "video-large-pull" for one in threading.enumerate())
