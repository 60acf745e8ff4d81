"""A function that takes items in another thread: order, room, failures, and its end."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from itertools import count
from queue import SimpleQueue

import pytest

from tests.video.stages import LONG_SECONDS, ctrl_c_once
from video.background import AbandonedError, WriteBehind
from video.channel import Channel

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_all_that_was_put_is_taken_in_order_in_another_thread() -> None:
    def take(items: Iterator[int]) -> tuple[list[int], threading.Thread]:
        return list(items), threading.current_thread()

    with WriteBehind(take, most=2) as behind:
        for number in range(1000):
            behind.put(number)
    taken, thread = behind.result
    assert taken == list(range(1000))
    assert thread is not threading.current_thread()
    assert not behind.is_running


class Held:
    """Takes items, and goes on after each of them when it is let to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.took: SimpleQueue[int] = SimpleQueue()

    def take(self, items: Iterator[int]) -> None:
        for item in items:
            self.took.put(item)
            assert self.go_on.wait(LONG_SECONDS)


def test_no_more_is_put_than_there_is_room() -> None:
    held = Held()
    put = []

    def fill(behind: WriteBehind[int, None]) -> None:
        for number in range(10):
            behind.put(number)
            put.append(number)

    with WriteBehind(held.take, most=2) as behind:
        filling = threading.Thread(target=fill, args=[behind])
        filling.start()
        assert held.took.get(timeout=LONG_SECONDS) == 0
        filling.join(0.05)  # it must not get on, however long it is waited for
        assert len(put) <= 3
        held.go_on.set()
        filling.join(LONG_SECONDS)
    assert put == list(range(10))


def test_the_oldest_makes_room_for_the_newest() -> None:
    held = Held()
    with WriteBehind(held.take, most=2) as behind:
        assert behind.put_newest(0) == 0
        assert held.took.get(timeout=LONG_SECONDS) == 0
        assert [behind.put_newest(number) for number in range(1, 7)] == [0, 0, 1, 1, 1, 1]
        held.go_on.set()
    assert [held.took.get_nowait() for _ in range(held.took.qsize())] == [5, 6]


def test_the_newest_waits_for_no_step_of_the_thread_that_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel, returned = Channel[int](1), []
    monkeypatch.setattr(channel._room, "give", lambda: None)  # as if that step took for ever

    def put() -> None:
        returned.append(channel.put_newest(0))
        assert next(channel) == 0
        returned.extend(channel.put_newest(number) for number in (1, 2))

    putting = threading.Thread(target=put, daemon=True)
    putting.start()
    putting.join(LONG_SECONDS)
    assert returned == [0, 0, 1]
    monkeypatch.undo()
    channel._room.give()
    assert [channel.put_newest(3), next(channel), channel.put_newest(4)] == [1, 3, 0]


def test_the_newest_is_refused_by_a_function_that_has_failed() -> None:
    def fail(items: Iterator[int]) -> None:
        raise LookupError(next(items))

    def put(behind: WriteBehind[int, None]) -> None:
        with behind:
            for number in count():
                behind.put_newest(number)
                time.sleep(0.001)  # else it may take each out again before the function has it

    with pytest.raises(LookupError):
        put(WriteBehind(fail, most=1))


def put_for_ever(behind: WriteBehind[int, object]) -> None:
    with behind:
        while True:
            behind.put(0)


def test_a_function_that_fails_ends_a_put_that_waits_and_the_block() -> None:
    def fails(items: Iterator[int]) -> None:
        next(items)
        raise ZeroDivisionError("no room on the disk")

    with pytest.raises(ZeroDivisionError, match="no room on the disk"):
        put_for_ever(WriteBehind(fails, most=1))


def test_a_failure_is_seen_in_the_middle_of_long_work_and_at_the_end() -> None:
    def fails(items: Iterator[int]) -> None:
        raise ZeroDivisionError

    behind = WriteBehind(fails, most=1)
    while behind.is_running:
        pass
    with pytest.raises(ZeroDivisionError):
        behind.check()
    with pytest.raises(ZeroDivisionError), behind:
        pass


def test_a_function_that_stops_taking_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="takes every item"):
        put_for_ever(WriteBehind(next, most=1))


@pytest.mark.parametrize(
    ("raised", "told"),
    [(KeyboardInterrupt, KeyboardInterrupt), (ZeroDivisionError, AbandonedError)],
)
def test_the_function_is_told_of_an_error_after_all_that_was_put(
    raised: type[BaseException], told: type[BaseException]
) -> None:
    taken: list[int | type] = []

    def take(items: Iterator[int]) -> None:
        try:
            taken.extend(items)
        except BaseException as error:
            taken.append(type(error))
            raise

    def fill() -> None:
        with WriteBehind(take, most=2) as behind:
            for number in range(3):
                behind.put(number)
            raise raised

    with pytest.raises(raised):
        fill()
    assert taken == [0, 1, 2, told]


def test_a_function_that_fails_when_it_is_told_says_so() -> None:
    def fails(items: Iterator[int]) -> None:
        try:
            list(items)
        except KeyboardInterrupt:
            raise OSError("no room for the end of the file") from None

    with pytest.raises(OSError, match="no room") as caught, WriteBehind(fails, most=1):
        raise KeyboardInterrupt
    assert isinstance(caught.value.__context__, KeyboardInterrupt)


def test_ctrl_c_while_a_block_is_finished_comes_when_it_is() -> None:
    finishing = threading.Event()
    finished: list[bool] = []

    with ctrl_c_once(finishing) as came:

        def take(items: Iterator[int]) -> None:
            list(items)
            finishing.set()
            assert came.wait(LONG_SECONDS)
            finished.append(True)

        with pytest.raises(KeyboardInterrupt), WriteBehind(take, most=1) as behind:
            behind.put(0)
    assert finished == [True]


def test_a_second_ctrl_c_leaves_a_function_that_is_stuck() -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def take(items: Iterator[int]) -> None:
        try:
            list(items)
        except KeyboardInterrupt:
            stuck.set()
            assert go_on.wait(LONG_SECONDS)

    def first_ctrl_c(behind: WriteBehind[int, None]) -> None:
        with behind:
            raise KeyboardInterrupt("the first")

    behind = WriteBehind(take, most=1)
    try:
        with ctrl_c_once(stuck) as came:
            with pytest.raises(KeyboardInterrupt):
                first_ctrl_c(behind)
            assert came.is_set()
        assert behind.is_running
    finally:
        go_on.set()


def test_without_a_block_items_arrive_in_order_and_few_wait() -> None:
    taken: list[int] = []
    held = threading.Semaphore(0)
    put: list[int] = []

    def consume(items: Iterator[int]) -> None:
        for item in items:
            held.acquire()
            taken.append(item)

    writing = WriteBehind(consume, most=2)

    def feed() -> None:
        for item in range(20):
            writing.put(item)
            put.append(item)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.1)
    assert feeder.is_alive()
    assert len(put) <= 3
    held.release(20)
    feeder.join()
    writing.finish()
    writing.stop()
    assert taken == list(range(20))


def test_without_a_block_an_error_comes_out_of_put_and_finish() -> None:
    def consume(items: Iterator[int]) -> None:
        next(items)
        raise OSError(28, "No space left on device")

    writing = WriteBehind(consume, most=1)

    def feed() -> None:
        for item in range(10):
            writing.put(item)

    with pytest.raises(OSError, match="No space left"):
        feed()
    with pytest.raises(OSError, match="No space left"):
        writing.finish()
    writing.stop()


def test_without_a_block_an_error_at_the_end_comes_out_of_finish() -> None:
    def consume(items: Iterator[int]) -> None:
        list(items)
        raise ValueError("the trailer")

    writing = WriteBehind(consume, most=4)
    writing.put(1)
    with pytest.raises(ValueError, match="the trailer"):
        writing.finish()
    writing.stop()


def test_a_function_that_takes_too_little_is_an_error() -> None:
    writing = WriteBehind(next, most=2)

    def feed() -> None:
        for item in range(9):
            writing.put(item)

    with pytest.raises(RuntimeError, match="takes every item"):
        feed()
    writing.stop()


def test_stop_ends_a_function_that_waits() -> None:
    taken: list[int] = []
    writing = WriteBehind(taken.extend, most=1)
    writing.put(1)
    writing.stop()
    writing.stop()
    assert not writing.is_running


def test_items_that_are_left_at_the_end_are_an_error() -> None:
    writing = WriteBehind(next, most=4)
    for item in range(3):
        writing.put(item)
    with pytest.raises(RuntimeError, match="takes every item"):
        writing.finish()
    writing.stop()


def test_stop_lets_go_of_the_items_that_wait() -> None:
    class Item:
        pass

    taking, go_on = threading.Event(), threading.Event()

    def consume(items: Iterator[Item]) -> None:
        next(items)
        taking.set()
        go_on.wait(LONG_SECONDS)

    writing = WriteBehind(consume, most=4)
    left = weakref.WeakSet[Item]()
    for _ in range(3):
        item = Item()
        left.add(item)
        writing.put(item)
    del item
    assert taking.wait(LONG_SECONDS)
    go_on.set()
    writing.stop()
    assert not left
