"""Asks pages, as programs do, and waits until something is so."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["LONG_SECONDS", "Answer", "ask", "frame_of", "until"]

LONG_SECONDS = 30.0


class Answer:
    """What a server said."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def words(self) -> str:
        """Its text."""
        return self.body.decode()


def ask(
    port: int,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    method: str | None = None,
) -> Answer:
    """GET a path, or POST a body to it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=LONG_SECONDS)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def frame_of(port: int) -> npt.NDArray[np.uint8]:
    """The frame that a page shows, (H, W, 3)."""
    answer = ask(port, "/frame.png")
    assert answer.status == 200, answer.words
    return np.asarray(Image.open(io.BytesIO(answer.body)))


def until(is_so: Callable[[], Any]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + LONG_SECONDS
    while not is_so():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.01)
