"""The state of a page, told to a browser as it changes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from taesd_stream.live.racing import until_first
from taesd_stream.live.session import Session

__all__ = ["StatusSocket"]

_STATUS_SECONDS: Final = 0.25
_FRAMES_SECONDS: Final = 0.05
_MOST_SOCKETS: Final = 64


class StatusSocket:
    """Tells browsers the state four times a second, and of every frame that they were sent.

    Messages are JSON objects with a "type": "status" is ``Status``; "frames" are those handed out
    since the last message, as ``SentFrame``; "pong" answers "ping" with its own "sent" and the
    server's clock in milliseconds as "now". A browser that cannot show what it gets asks for a
    "key" picture.

    Args:
        session: What is shown.
        closing: Ends it.
    """

    def __init__(self, session: Session, closing: asyncio.Event) -> None:
        self._session, self._closing = session, closing
        self._open = 0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one browser until it leaves."""
        if self._open >= _MOST_SOCKETS:
            await socket.close(1013)
            return
        self._open += 1
        try:
            await socket.accept()
            with suppress(WebSocketDisconnect, RuntimeError, KeyError, ValueError):
                await until_first(self._tell(socket), self._listen(socket), self._closing.wait())
            with suppress(WebSocketDisconnect, RuntimeError):
                await socket.close(1001)
        finally:
            self._open -= 1

    async def _tell(self, socket: WebSocket) -> None:
        count, _ = self._session.broadcast.sent_after(0)
        told_at = float("-inf")
        while True:
            if time.monotonic() - told_at >= _STATUS_SECONDS:
                told_at = time.monotonic()
                await socket.send_json({"type": "status", **self._session.status.to_json()})
            count, frames = self._session.broadcast.sent_after(count)
            if frames:
                await socket.send_json({"type": "frames", "frames": frames})
            await asyncio.sleep(_FRAMES_SECONDS)

    async def _listen(self, socket: WebSocket) -> None:
        while True:
            said: Any = await socket.receive_json()
            kind = said.get("type") if isinstance(said, dict) else None
            if kind == "ping":
                now = 1000 * time.monotonic()
                sent = said.get("sent")
                sent = sent if isinstance(sent, int | float) else None
                await socket.send_json({"type": "pong", "sent": sent, "now": now})
            elif kind == "key":
                self._session.broadcast.feed.refresh()
