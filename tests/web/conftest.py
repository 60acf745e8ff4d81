"""The page as it is built, served on loopback, in headless Chromium."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chromium import started_chromium

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.web.open_page import OpenPage


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the one command builds."""
    pytest.importorskip("onnx", reason="no onnx: the page's decoder is exported with it")
    if shutil.which("npm") is None:
        pytest.skip("no npm: it fetches what the page is built of")
    import make_web

    folder = tmp_path_factory.mktemp("web")
    try:
        make_web.build(folder)
    except make_web.UnreachableError as error:
        pytest.skip(f"the npm registry cannot be reached: {error}")
    return folder


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Chromium, which saves what is downloaded in its ``downloads`` attribute's folder."""
    with started_chromium(tmp_path_factory.mktemp("downloads")) as browser:
        yield browser


@pytest.fixture(scope="session")
def address(built: Path) -> Iterator[str]:
    """Where the page is served, as the one command serves it."""
    import make_web

    with make_web.server(built, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(chromium: Chrome, address: str) -> OpenPage:
    """The page, freshly opened."""
    from tests.web.open_page import OpenPage

    return OpenPage(chromium, address)
