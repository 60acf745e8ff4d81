"""An application that answers only those who may use it."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from taesd_stream.live.access import Access
from taesd_stream.sinks.failing import failure_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_log = logging.getLogger("taesd_stream")

_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        b" media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none';"
        b" form-action 'none'; frame-ancestors 'none'",
    ),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """An application, behind the rules; with headers by which a browser keeps to them.

    Args:
        app: The application.
        access: The rules.
        cookie: The name of the cookie that holds the token.
    """

    def __init__(self, app: ASGIApp, access: Access, cookie: str) -> None:
        self._app, self._access, self._cookie = app, access, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refusal = self._access.refusal(HTTPConnection(scope), self._cookie)
        if refusal is None:
            await self._answer(scope, receive, send_guarded)
            return
        answer = PlainTextResponse(f"{refusal.reason}\n", refusal.status)
        await answer(scope, receive, send_guarded)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it; what is amiss here is told in a line of the log."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            _log.error(
                "live: unexpected %s at %s; the page goes on",
                *(failure_of(error), str(scope.get("path"))[:80]),
                exc_info=_log.isEnabledFor(logging.DEBUG),
            )
            if scope["type"] == "websocket":
                with suppress(Exception):
                    await send({"type": "websocket.close", "code": 1011})
