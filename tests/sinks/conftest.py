"""Fixtures of tests of sinks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fails where a sink that is closed has left a thread."""
    yield
    assert "taesd-stream" not in [thread.name for thread in threading.enumerate()]
