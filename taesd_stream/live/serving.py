"""An HTTP server in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import uvicorn

from taesd_stream.errors import OutputError
from taesd_stream.live.connections import BoundedProtocol, BoundedSocket
from taesd_stream.live.place import Place
from taesd_stream.live.pushed_latents import MOST_UPLOAD_BYTES
from taesd_stream.sinks.failing import failure_of
from video.background import Worker

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

__all__ = ["Server"]

_log = logging.getLogger("taesd_stream")

_MOST_HEAD_BYTES: Final = 1 << 15
_SECONDS_TO_LEAVE: Final = 2


class Server:
    """A server in a thread, with an event loop that is its own.

    Args:
        place: Where it listens.
        open_app: Called in the loop: makes the application, and what is to be awaited when it ends.

    Attributes:
        port: On which it listens.
        loop: Of its thread.

    Raises:
        InputError: It cannot listen there.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        place: Place,
        open_app: Callable[[int], Awaitable[tuple[ASGIApp, Callable[[], Awaitable[None]]]]],
    ) -> None:
        place.check_certificate()
        listening = place.listen()
        self.port = int(listening.getsockname()[1])
        self._place, self._open_app = place, open_app
        self._ending = asyncio.Event()
        ready: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._worker = Worker(
            lambda: asyncio.run(self._serve(listening, lambda: ready.put(None))),
            then=lambda: ready.put(None),
        )
        ready.get()
        self.check()

    def check(self) -> None:
        """Raise what ended it, if something has."""
        if self._worker.error is not None:
            raise self._worker.error

    def close(self) -> None:
        """End it, and wait for that; a second call does nothing."""
        if not self._worker.is_running:
            return
        self.loop.call_soon_threadsafe(self._ending.set)
        self._worker.wait()
        if self._worker.error is not None:
            _log.warning("live: the page ended badly: %s", failure_of(self._worker.error))

    async def _serve(self, listening: socket.socket, ready: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        with listening:
            app, end = await self._open_app(self.port)
            server = uvicorn.Server(self._config(app))
            ready()
            serving = asyncio.ensure_future(server.serve(sockets=[listening]))
            asked = asyncio.ensure_future(self._ending.wait())
            await asyncio.wait({asked, serving}, return_when=asyncio.FIRST_COMPLETED)
            await end()
            server.should_exit = True
            await serving
            if not asked.done():
                raise OutputError("page: expected a server that goes on, found that it has ended")

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        place = self._place
        return uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws=BoundedSocket,
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=MOST_UPLOAD_BYTES,
            ws_per_message_deflate=False,
            h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
            timeout_graceful_shutdown=_SECONDS_TO_LEAVE,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.private_key,
        )
