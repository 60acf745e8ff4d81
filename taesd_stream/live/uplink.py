"""A WebSocket by which latents go to a page; opened again whenever it is lost."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from taesd_stream.live.page_address import PageAddress
from taesd_stream.sinks.failing import failure_of
from taesd_stream.sinks.queueing import WhenFull
from video.background import Room, Worker

__all__ = ["Heard", "Uplink"]

Heard = Callable[[int, int, str | None], None]
"""Told how many latents were taken, how many were not, and why, where that is amiss."""

_UNANSWERED: Final = 4
"""Messages that may be under way, so that a distant page is not waited for after each."""

_SECONDS_TO_OPEN: Final = 5.0
_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_MOST_ANSWER_BYTES: Final = 1 << 16


class Uplink:
    """A WebSocket by which latents go to a page; opened again whenever it is lost.

    To be used by one thread, but for ``give_up``.

    Args:
        address: The page's.
        when_full: What the page does with latents for which it has no time.
        heard: Told what became of all that was sent, by any thread.
        lost: Told why there is no connection; None when there is one (again).
    """

    def __init__(
        self,
        address: PageAddress,
        when_full: WhenFull,
        heard: Heard,
        lost: Callable[[str | None], None],
    ) -> None:
        self._address, self._heard, self._lost = address, heard, lost
        self._url = f"{address.url}?when_full={when_full}"
        self._link: _Link | None = None
        self._failed = 0
        self._leaving = threading.Event()

    def send(self, data: bytes, count: int) -> None:
        """Send the bytes of so many latents, as soon as there is a connection."""
        while not self._leaving.is_set():
            if self._link is None:
                self._link = self._opened()
            elif self._link.send(data, count):
                return
            else:
                self._lose(self._link)
        self._heard(0, count, "the client was closed before they could be sent")

    def close(self) -> None:
        """Wait for answers, and end."""
        if self._link is not None:
            self._link.close()

    def give_up(self) -> None:
        """Let nobody wait any longer; any thread may."""
        self._leaving.set()
        link = self._link
        if link is not None:
            link.cut()

    def _opened(self) -> _Link | None:
        """A connection; None, after a pause, if there is none to be had."""
        address = self._address
        token = address.token
        opened = ExitStack()
        try:
            connection = opened.enter_context(
                connect(
                    self._url,
                    ssl=address.certificates,
                    additional_headers=None if token is None else _bearer(token),
                    proxy=None if address.is_here else True,
                    compression=None,
                    open_timeout=_SECONDS_TO_OPEN,
                    close_timeout=1,
                    max_size=_MOST_ANSWER_BYTES,
                )
            )
        except (OSError, EOFError, WebSocketException) as error:
            self._pause(_refusal(error))
            return None
        self._lost(None)
        return _Link(connection, opened, self._heard)

    def _lose(self, link: _Link) -> None:
        """Let a lost connection go; one by which nothing was heard is no better than none."""
        self._link = None
        link.close()
        if link.has_heard:
            self._failed = 0
        else:
            self._pause("it cut the connection, and answered nothing")

    def _pause(self, failure: str) -> None:
        self._lost(f"{self._address.url}: {failure}")
        self._leaving.wait(_PAUSES[min(self._failed, len(_PAUSES) - 1)])
        self._failed += 1


class _Link:
    """One connection, with a thread that hears what the page answers.

    Attributes:
        has_heard: Whether it has answered anything.
    """

    def __init__(self, connection: ClientConnection, opened: ExitStack, heard: Heard) -> None:
        self._connection, self._opened, self._heard = connection, opened, heard
        self.has_heard = False
        self._unanswered: deque[int] = deque()
        self._room = Room(_UNANSWERED)
        self._turn = threading.Lock()
        self._reader = Worker(self._hear, then=lambda: None)

    def send(self, data: bytes, count: int) -> bool:
        """Send bytes; returns False, and has sent none, if the connection is lost."""
        if not self._room.take():
            return False
        with self._turn:
            if self._room.is_closed:
                return False
            self._unanswered.append(count)
        with suppress(ConnectionClosed):  # which is told by who hears no answer
            self._connection.send(data)
        return True

    def close(self) -> None:
        """Wait for answers, and end."""
        for _ in range(_UNANSWERED):
            self._room.take()
        self._opened.close()
        self._reader.wait()

    def cut(self) -> None:
        """End it at once."""
        with suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)

    def _hear(self) -> None:
        try:
            with suppress(ConnectionClosed, ValueError):  # ValueError: it is no such page
                while True:
                    answer = json.loads(self._connection.recv())
                    self.has_heard = True
                    with self._turn:
                        count = self._unanswered.popleft()
                    taken = int(answer.get("taken", 0))
                    self._heard(taken, count - taken, answer.get("error"))
                    self._room.give()
        finally:
            with self._turn:
                self._room.close()
                self._room.give()  # to who waits for it now
                lost = sum(self._unanswered)
            if lost:
                self._heard(0, lost, "the connection was cut before the page answered")


def _refusal(error: Exception) -> str:
    """Say why a page was not reached, if it said so, in its own words."""
    if isinstance(error, InvalidStatus):
        body = (error.response.body or b"").decode(errors="replace").strip()
        return body or f"it answered {error.response.status_code}"
    return failure_of(error)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
