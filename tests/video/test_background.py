"""Reading ahead in another thread: order, room, failures, and that no thread is left."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from tests.video.stages import LONG_SECONDS, Counting, ctrl_c_once
from video.background import ReadAhead

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_items_come_in_order_and_then_end_for_good() -> None:
    with ReadAhead(range(1000), most=3) as ahead:
        assert list(ahead) == list(range(1000))
        assert list(ahead) == []


@pytest.mark.parametrize("most", [1, 3])
def test_items_are_made_ahead_and_no_farther_than_there_is_room(most: int) -> None:
    numbers = Counting()
    with ReadAhead(numbers, most=most) as ahead:
        for taken in range(1, 5):
            assert next(ahead) == taken - 1
            # Those taken, those that wait, and one that waits for room.
            numbers.wait_for(taken + most + 1)
            assert numbers.made == taken + most + 1
    assert numbers.closed.is_set()


def test_a_failure_comes_after_the_items_before_it_with_notes_and_place() -> None:
    def fails() -> Iterator[int]:
        yield 1
        yield 2
        error = ZeroDivisionError("the third")
        error.add_note("a note")
        raise error

    with ReadAhead(fails(), most=5) as ahead:
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(ZeroDivisionError, match="the third") as caught:
            next(ahead)
        assert caught.value.__notes__ == ["a note"]
        assert "fails" in [entry.name for entry in caught.traceback]
        with pytest.raises(StopIteration):
            next(ahead)


def test_an_interrupt_in_the_background_is_one_in_front() -> None:
    def interrupted() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with ReadAhead(interrupted(), most=1) as ahead:
        assert next(ahead) == 1
        with pytest.raises(KeyboardInterrupt):
            next(ahead)


def test_a_consumer_that_fails_stops_a_producer_that_waits_for_room() -> None:
    numbers = Counting()

    def consume() -> None:
        with ReadAhead(numbers, most=1) as ahead:
            next(ahead)
            numbers.wait_for(3)
            raise LookupError

    with pytest.raises(LookupError):
        consume()
    assert numbers.closed.is_set()


def test_an_iterator_that_is_forgotten_stops_its_thread() -> None:
    numbers = Counting()
    ahead = ReadAhead(numbers, most=1)
    next(ahead)
    del ahead
    gc.collect()
    assert numbers.closed.wait(LONG_SECONDS)


def test_what_closing_a_generator_raises_is_raised() -> None:
    def fails_late() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise ZeroDivisionError

    with ReadAhead(fails_late(), most=1) as ahead:
        assert next(ahead) == 1
        with pytest.raises(ZeroDivisionError):
            next(ahead)


def test_ctrl_c_reaches_a_consumer_that_waits() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        begun.set()
        assert go_on.wait(LONG_SECONDS)
        yield 1

    def consume() -> None:
        try:
            with ReadAhead(slow(), most=1) as ahead:
                try:
                    next(ahead)
                finally:
                    go_on.set()
        finally:
            go_on.set()

    with ctrl_c_once(begun), pytest.raises(KeyboardInterrupt):
        consume()


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ReadAhead((), most=0)
