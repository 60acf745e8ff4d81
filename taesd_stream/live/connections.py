"""HTTP and WebSocket connections that end when nothing comes of them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["BoundedProtocol", "BoundedSocket"]

SECONDS_TO_ASK: Final = 10.0
"""A connection without a request under way is closed after once or twice that long, and so is one
that takes nothing of its answer."""

SECONDS_TO_SAY: Final = 20.0
"""For a message of a socket to come as a whole, once it has begun."""

SECONDS_TO_LEAVE: Final = 2.0
"""For the other side of a socket to answer that it is closed."""

MOST_CONNECTIONS: Final = 256

_MOST_PARTS: Final = 4096
_MOST_UNREAD: Final = 1 << 20

# Clients' faults are told to clients: here they are of interest to who looks for them.
_log = logging.getLogger("taesd_stream.live.connections")


class _AsDetails(logging.LoggerAdapter[logging.Logger]):
    """What is logged of clients, as details, without tracebacks."""

    @property
    def level(self) -> int:
        """What is logged at least."""
        return self.logger.getEffectiveLevel()

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        super().log(logging.DEBUG, msg, *args)


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of which neither half requests, nor answers that nobody reads, nor their number take
    up the server.

    Uvicorn waits for the end of a request's head, and for a client to read, as long as it takes.
    """

    _looks: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _AsDetails(_log)  # type: ignore[assignment]

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

    def data_received(self, data: bytes) -> None:
        """Take what came; what cannot be read, in whatever way, ends the connection."""
        try:
            super().data_received(data)
        except Exception as error:
            self.logger.debug("%s", error)
            self.transport.abort()

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
        """Close it if no request has begun, and none of an answer was read, since the last look."""
        under_way = self.cycle is not None and not self.cycle.response_complete
        unread = self.transport.get_write_buffer_size()
        if (self.cycle, unread) == seen and (unread or not under_way):
            self.transport.abort()
            return
        self._look_again((self.cycle, unread))


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket of which neither half messages, nor tiny parts of them, nor answers that nobody
    reads take up the server.
    """

    _says_until: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _AsDetails(_log)  # type: ignore[assignment]
        self.close_timeout = SECONDS_TO_LEAVE

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and what it held."""
        self._is_whole()
        super().connection_lost(exc)
        # The parser and its protocol refer to each other, and hold the last message until both are
        # collected as garbage.
        self.conn.parser.close()
        self.conn.reader.buffer.clear()
        self.frames = []

    def data_received(self, data: bytes) -> None:
        """Take what came; what cannot be read, in whatever way, ends the connection."""
        try:
            super().data_received(data)
        except Exception as error:
            self.logger.debug("%s", error)
            self.transport.abort()
        is_part = bool(self.frames) or len(self.conn.reader.buffer) > 0
        if len(self.frames) > _MOST_PARTS or self._unread > _MOST_UNREAD:
            self.transport.abort()
        elif is_part and self._says_until is None:
            self._wait_for_whole()

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message over."""
        self._is_whole()
        super().send_receive_event_to_app()

    @property
    def _unread(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait_for_whole(self) -> None:
        self._says_until = self.loop.call_later(SECONDS_TO_SAY, self._is_late)

    def _is_whole(self) -> None:
        if self._says_until is not None:
            self._says_until.cancel()
            self._says_until = None

    def _is_late(self) -> None:
        self._says_until = None
        if self.read_paused:  # it is our own turn
            self._wait_for_whole()
        else:
            self.transport.abort()
