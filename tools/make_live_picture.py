"""Make the picture of the live page: the sample as it is decoded, in a dark window.

    python tools/make_live_picture.py docs/live.webp

It needs Chromium with its driver, and selenium; the figures are those of the machine it runs on.
"""

from __future__ import annotations

import argparse
import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

import taesd_stream as ts
from taesd_stream.samples import sample_path

SIZE = {"width": 1280, "height": 760, "deviceScaleFactor": 1, "mobile": False}
DARK = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
PLACE = 24
SECONDS = 8
FPS = 12
"""So few that no machine falls behind."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    with ts.LivePage(sample_path(), model="nano", loop=True, fps=FPS, port=0) as page:
        screen = photograph(page.url)
    Image.open(io.BytesIO(screen)).convert("RGB").save(arguments.output, quality=85, method=6)


def photograph(address: str) -> bytes:
    """The page as PNG, after some seconds, at about a certain frame."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    try:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", DARK)
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)
        browser.get(address)
        time.sleep(SECONDS)
        place = browser.find_element(By.ID, "place")
        wait(lambda: place.text.startswith(f"{PLACE} /"))
        return bytes(browser.get_screenshot_as_png())
    finally:
        browser.quit()


def program(name: str) -> str:
    """Where a program is; selenium would look for one on the network."""
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"no {name}: apt-get install chromium chromium-driver")
    return found


def wait(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the page does not show what was waited for")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
