"""Frames as a stream of JPEG pictures, which an <img>, OBS and players take."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import InputError
from taesd_stream.live.broadcast import Broadcast
from taesd_stream.live.racing import until_first
from taesd_stream.live.viewers import Viewer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["MjpegStream"]

_BOUNDARY: Final = b"frame"
_SECONDS_TO_TAKE: Final = 20.0
_HEADERS: Final = [
    (b"content-type", b"multipart/x-mixed-replace; boundary=" + _BOUNDARY),
    (b"cache-control", b"no-store"),
    (b"connection", b"close"),
]


class MjpegStream:
    """A response that goes on until its client leaves, or takes no more.

    Each picture ends with the boundary that comes before the next, since browsers show it when they
    have read that.

    Args:
        broadcast: What it shows; a slow client gets the newest frame each time.
        closing: Ends it.
    """

    def __init__(self, broadcast: Broadcast, closing: asyncio.Event) -> None:
        self._broadcast, self._closing = broadcast, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        viewer, leave = self._broadcast.viewers.enter("mjpeg")
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
                return
            with suppress(TimeoutError, InputError):  # of a client too slow, or a frame too large
                await until_first(
                    self._send_all(send, viewer), _gone(receive), self._closing.wait()
                )
                await send({"type": "http.response.body"})
        finally:
            leave()

    async def _send_all(self, send: Send, viewer: Viewer) -> None:
        count, begin = 0, b"--" + _BOUNDARY + b"\r\n"
        while True:
            latest, frame = await self._broadcast.newest.after(count)
            viewer.dropped += latest - count - 1 if count else 0
            count = latest
            data = await self._broadcast.jpeg.of(frame)
            head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            body = b"".join((begin, head, data, b"\r\n--", _BOUNDARY, b"\r\n"))
            async with asyncio.timeout(_SECONDS_TO_TAKE):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            viewer.sent += 1
            begin = b""


async def _gone(receive: Receive) -> None:
    """Wait until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
