"""Cores that lie idle."""

from __future__ import annotations

import os

import pytest

from taesd_stream.engine import cores
from taesd_stream.engine.cores import SpareCores


@pytest.mark.parametrize(
    ("usable", "own_and_busy", "passed", "expected"),
    [
        (2, (0.1, 0.7), 0.1, True),  # we have one core, nobody the other
        (2, (0.2, 0.2), 0.1, False),  # we have both; those that are idle we may not use
        (2, (0.0, 0.8), 0.1, False),  # others have them
        (8, (0.7, 0.7), 0.1, False),  # one of eight is idle, perhaps for moments in between
        (8, (0.5, 0.5), 0.1, True),
        (2, (0.0, 0.0), 0.01, False),  # too short to tell
        (2, (0.0, 0.0), 30.0, False),  # long ago
    ],
)
def test_a_quarter_of_the_cores_and_one_at_least(
    monkeypatch: pytest.MonkeyPatch,
    usable: int,
    own_and_busy: tuple[float, float],
    passed: float,
    expected: bool,
) -> None:
    monkeypatch.setattr(cores, "_affinity", lambda: usable)
    monkeypatch.setattr(cores, "_quota", lambda: 64)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    own, busy = own_and_busy
    for name, now in (("perf_counter", passed), ("_busy_seconds", busy), ("process_time", own)):
        told = iter((5.0, 5.0 + now))
        monkeypatch.setattr(cores, name, lambda told=told: next(told))
    assert SpareCores().are_there() is expected
