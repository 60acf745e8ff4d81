"""The live page in a browser, as tests use it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["LiveView"]

_PATIENCE = 60  # seconds, of which a busy machine may take many

_DRAWN = """
const shown = document.querySelector("#picture > :is(video, img):not([hidden])");
const width = shown.videoWidth ?? shown.naturalWidth;
if (!width) return null;
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [width, shown.videoHeight ?? shown.naturalHeight];
const drawn = canvas.getContext("2d");
drawn.drawImage(shown, 0, 0);
if (!drawn.getImageData(0, 0, 1, 1).data[3]) return null; // its size is known before its frames
return canvas.toDataURL("image/png");
"""


class LiveView:
    """The page in one window of a browser."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser
        self._window = browser.current_window_handle

    def open(self, address: str) -> None:
        """Open it anew, and wait for the server's word."""
        self.browser.get(address)
        self.until(lambda: self.text("state") not in ("", "connecting"))

    def look(self) -> None:
        """Turn to this window, of several."""
        self.browser.switch_to.window(self._window)

    def element(self, name: str) -> Any:
        """The element of this id."""
        return self.browser.find_element("id", name)

    def text(self, name: str) -> str:
        """What an element says."""
        return str(self.element(name).text)

    def click(self, name: str) -> None:
        """Press a button."""
        self.element(name).click()

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def set(self, name: str, value: str | int) -> None:
        """Set a control, as a user does who changes it."""
        self.run(
            """
            const control = document.getElementById(arguments[0]);
            control.value = arguments[1];
            control.dispatchEvent(new Event("input"));
            control.dispatchEvent(new Event("change"));
            """,
            name,
            str(value),
        )

    def way(self) -> str:
        """By which way the picture comes, as the page says."""
        return str(self.run("return document.getElementById('way').selectedOptions[0].text"))

    def picture(self) -> npt.NDArray[np.uint8] | None:
        """(H, W, 3): what is shown now; None before the first frame."""
        url = self.run(_DRAWN)
        if url is None:
            return None
        data = base64.b64decode(url.partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            said = {name: self.text(name) for name in ("state", "notice", "frame", "said")}
            assert time.monotonic() < deadline, f"it says {said} by {self.way()}: {self.log()}"
            time.sleep(0.02)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self.browser.execute_script(script, *arguments)

    def log(self) -> list[str]:
        """What the browser complained of since it was asked last."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that the page has asked for."""
        names = self.run("return performance.getEntries().map(({name}) => name)")
        return [name for name in names if "://" in name]

    def hosts(self) -> set[str | None]:
        """Whom the page has asked for something."""
        return {urlsplit(name).hostname for name in self.requests()}
