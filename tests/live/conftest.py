"""Fixtures of tests of the live page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

import taesd_stream as ts

_NEEDED = ("aiortc", "starlette", "uvicorn", "websockets")
collect_ignore_glob = [] if all(map(find_spec, _NEEDED)) else ["test_*.py"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fails where something that is closed has left a thread."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert [thread for thread in left if thread.name.startswith("taesd-stream")] == []


@pytest.fixture(scope="session")
def nano() -> ts.AutoEncoder:
    """A model that is inside the package."""
    return ts.load("nano", device="cpu", dtype="float32")


@pytest.fixture
def page(nano: ts.AutoEncoder) -> Iterator[ts.LivePage]:
    """A page that takes latents, at a port that was free."""
    with ts.LivePage(model=nano, port=0) as page:
        yield page
