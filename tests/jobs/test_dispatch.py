"""Units are handed out once, come back when a worker fails or dies, and are done once."""

from __future__ import annotations

import heapq
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taesd_stream.jobs.cluster.dispatch import Dispatch, UnitLostError
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.resume.journal import Journal


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    units=st.integers(0, 30),
    workers=st.integers(1, 5),
    seed=st.integers(0, 1 << 16),
    deadly=st.floats(0, 0.3),
)
def test_every_unit_is_done_once(units: int, workers: int, seed: int, deadly: float) -> None:
    """Workers of different speeds, some of whom die or stand still for long."""
    luck, clock = random.Random(seed), Clock()
    dispatch = Dispatch(range(units), clock)
    done: list[int] = []
    ends: list[tuple[float, int, int]] = []
    idle, next_worker = list(range(workers)), workers
    while not dispatch.is_over:
        for worker in list(idle):
            unit = dispatch.next_for(worker)
            if unit is not None:
                idle.remove(worker)
                seconds = luck.choice([1, 2, 3, 100])
                heapq.heappush(ends, (clock.now + seconds, worker, unit))
        # Those who have nothing to do are asked again, as time goes on.
        if not ends or (idle and ends[0][0] > clock.now + 1):
            clock.now += 1
            continue
        clock.now, worker, unit = heapq.heappop(ends)
        if luck.random() < deadly:
            dispatch.lost(worker)
            idle.append(next_worker)
            next_worker += 1
            continue
        if dispatch.done(worker, unit):
            done.append(unit)
        idle.append(worker)
    assert sorted(done) == list(range(units))


def test_a_unit_fails_three_times() -> None:
    dispatch = Dispatch([0, 1])
    error = ValueError("no")
    for _ in range(2):
        assert dispatch.next_for(5) == 0
        dispatch.failed(5, 0, error)
    assert dispatch.next_for(6) == 0
    with pytest.raises(ValueError, match="no"):
        dispatch.failed(6, 0, error)


def test_deaths_are_no_failures_but_have_an_end() -> None:
    dispatch = Dispatch([0])
    for worker in range(11):
        assert dispatch.next_for(worker) == 0
        dispatch.lost(worker)
    assert dispatch.next_for(11) == 0
    with pytest.raises(UnitLostError, match="12 workers have died"):
        dispatch.lost(11)


def test_stragglers_are_repeated_once() -> None:
    clock = Clock()
    dispatch = Dispatch(range(3), clock)
    assert [dispatch.next_for(worker) for worker in (0, 1, 2)] == [0, 1, 2]
    clock.now = 10.0
    assert dispatch.done(0, 0)
    assert dispatch.done(1, 1)
    clock.now = 19.0
    assert dispatch.next_for(0) is None, "it takes less than twice as long as half of the others"
    clock.now = 21.0
    assert dispatch.next_for(0) == 2
    assert dispatch.next_for(1) is None
    assert dispatch.done(0, 2)
    assert not dispatch.done(2, 2)
    assert dispatch.is_over


def test_one_of_two_who_make_a_unit_dies() -> None:
    clock = Clock()
    dispatch = Dispatch(range(2), clock)
    assert dispatch.next_for(0) == 0
    assert dispatch.next_for(1) == 1
    clock.now = 1.0
    dispatch.done(0, 0)
    clock.now = 50.0
    assert dispatch.next_for(0) == 1
    dispatch.lost(1)
    assert dispatch.next_for(2) is None, "the other is still at it"
    dispatch.failed(1, 1, ValueError("too late"))
    assert dispatch.done(0, 1)
    assert dispatch.is_over


def test_who_repeats_a_unit_may_die_too() -> None:
    clock = Clock()
    dispatch = Dispatch(range(2), clock)
    assert [dispatch.next_for(worker) for worker in (0, 1)] == [0, 1]
    clock.now = 1.0
    dispatch.done(0, 0)
    clock.now = 50.0
    assert dispatch.next_for(0) == 1
    dispatch.lost(0)
    clock.now = 100.0
    assert dispatch.next_for(2) == 1, "the first stands still, and nobody else is at it"
    assert dispatch.done(2, 1)


def test_units_that_another_run_has_removed(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.mp4", {}) as journal:
        finished = FinishedUnits(journal)
        for unit in (0, 1, 2, 4):
            finished.note(unit)
        finished.keep_those(lambda unit: unit != 1)
        assert finished.numbers == {0, 2, 4}
        assert journal.done == 1
        assert FinishedUnits(journal).numbers == {0, 2, 4}


def test_finished_units_outlast_the_process(tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    with Journal.open(out, {"model": "a"}) as journal:
        finished = FinishedUnits(journal)
        for unit in (1, 3, 0, 12):
            finished.note(unit)
        assert journal.done == 2, "those before the first that is missing"
    with Journal.open(out, {"model": "a"}) as journal:
        with (journal.folder / finished.name).open("a") as file:
            file.write("1")  # of 14, which a power failure has cut
        finished = FinishedUnits(journal)
        assert finished.numbers == {0, 1, 3, 12}
        finished.note(2)
        assert journal.done == 4
        assert FinishedUnits(journal).numbers == {0, 1, 2, 3, 12}
