"""Headless Chromium, for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["started_chromium"]

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,1000",
    # Whatever the page asks of another machine fails.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def started_chromium(downloads: Path) -> Iterator[Chrome]:
    """Chromium, which saves what is downloaded in a folder that its ``downloads`` attribute names.

    Tests skip where there is none.
    """
    selenium = pytest.importorskip("selenium.webdriver", reason="no selenium: it drives Chromium")
    from selenium.webdriver.chrome.service import Service

    driver, binary = (
        shutil.which("chromedriver"),
        next(filter(None, map(shutil.which, _CHROMIUM)), ""),
    )
    if not (driver and binary):
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    for flag in _FLAGS:
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    browser = selenium.Chrome(options=options, service=Service(driver))
    browser.downloads = downloads
    try:
        yield browser
    finally:
        browser.quit()
