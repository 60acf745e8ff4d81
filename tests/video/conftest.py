"""Fixtures of tests of videos."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.video.stages import LONG_SECONDS


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Waits for every thread that a test started, and fails where one stays."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(LONG_SECONDS)
        assert not thread.is_alive()
