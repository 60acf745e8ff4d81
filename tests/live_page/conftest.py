"""The live page, served by this process, in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.chromium import started_chromium

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.live_page.live_view import LiveView


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Chromium, which saves what is downloaded in its ``downloads`` attribute's folder."""
    for library in ("aiortc", "starlette", "uvicorn"):
        pytest.importorskip(library, reason="no extra live: pip install '.[live]'")
    with started_chromium(tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@pytest.fixture
def view(chromium: Chrome) -> Iterator[LiveView]:
    """A window for the page, which complains of nothing and asks no other machine."""
    from tests.live_page.live_view import LiveView

    view = LiveView(chromium)
    view.log()
    yield view
    view.look()
    hosts, complaints = view.hosts(), [line for line in view.log() if not is_of_end(line)]
    chromium.get("about:blank")
    assert hosts == {"127.0.0.1"}
    assert complaints == []


def is_of_end(complaint: str) -> bool:
    """Whether the browser complains that the test's server is gone, or about to go."""
    if "/offer - " in complaint and "503 (Service Unavailable)" in complaint:
        return True
    return any(
        f"ERR_{error}" in complaint
        for error in ("CONNECTION_REFUSED", "CONNECTION_RESET", "INCOMPLETE_CHUNKED_ENCODING")
    )
