"""HTTP connections that end when nothing comes of them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BoundedProtocol"]

SECONDS_TO_ASK: Final = 10.0
"""A connection without a request under way is closed after once or twice that long."""

MOST_CONNECTIONS: Final = 256


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of which neither half requests nor their number take up the server.

    Uvicorn waits for the end of a request's head as long as it takes.
    """

    _looks: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse one too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._look_again(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._look_no_more()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand it over to the protocol of sockets."""
        self._look_no_more()
        super().handle_websocket_upgrade(event)

    def _look_again(self, seen: Any) -> None:
        self._looks = self.loop.call_later(SECONDS_TO_ASK, self._look, seen)

    def _look_no_more(self) -> None:
        if self._looks is not None:
            self._looks.cancel()
            self._looks = None

    def _look(self, seen: Any) -> None:
        """Close it if no request has begun since the last look."""
        under_way = self.cycle is not None and not self.cycle.response_complete
        if not under_way and self.cycle is seen:
            self.transport.abort()
            return
        self._look_again(self.cycle)
