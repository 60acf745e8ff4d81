"""The page for browsers, as tests use it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

_PATIENCE = 60  # seconds, of which a busy machine may take many


class OpenPage:
    """One page in a browser, freshly opened and ready."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        browser.get(address)
        # The driver sometimes returns before the page's modules have run.
        self._until(lambda: self.run("return document.getElementById('unserved') === null"))

    def choose(self, path: Path) -> None:
        """Give it a file by its button."""
        self.element("file").send_keys(str(path))

    def drop(self, name: str, content: bytes) -> None:
        """Drop a file onto it."""
        self.run(
            """
            const bytes = Uint8Array.from(atob(arguments[1]), (c) => c.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], arguments[0]));
            const event = new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true});
            document.querySelector("#drop").dispatchEvent(event);
            """,
            name,
            base64.b64encode(content).decode(),
        )

    def set(self, name: str, value: str | int) -> None:
        """Set a control, as a user does who changes it."""
        self.run(
            """
            const control = document.getElementById(arguments[0]);
            if (control.tagName === "SELECT" && ![...control.options].some(
                (each) => each.value === arguments[1])) control.add(new Option("", arguments[1]));
            control.value = arguments[1];
            control.dispatchEvent(new Event("input"));
            control.dispatchEvent(new Event("change"));
            """,
            name,
            str(value),
        )

    def wait(self, *beginnings: str) -> str:
        """The status, or the error, once it begins with one of these."""
        said: list[str] = []

        def is_said() -> bool:
            lines = (str(self.element(name).text) for name in ("status", "error"))
            said[:] = [line for line in lines if line.startswith(beginnings)]
            return bool(said)

        self._until(is_said)
        return said[0]

    def said(self) -> dict[str, str]:
        """Every line that it says now."""
        return {
            name: str(self.element(name).text) for name in ("status", "error", "doubt", "about")
        }

    def log(self) -> list[str]:
        """What the browser complained of since it was asked last."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def picture(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3): the canvas."""
        url = self.run("return document.querySelector('canvas').toDataURL('image/png')")
        data = base64.b64decode(url.partition(",")[2])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def element(self, name: str) -> Any:
        """The element of this id."""
        return self.browser.find_element("id", name)

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < deadline, f"it says {self.said()}, its log {self.log()}"
            time.sleep(0.02)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self.browser.execute_script(script, *arguments)
