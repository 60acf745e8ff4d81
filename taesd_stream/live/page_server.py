"""A page that is served: what it shows, the server's thread, and the player's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from taesd_stream.live.access import Access
from taesd_stream.live.app import make_app
from taesd_stream.live.broadcast import Broadcast
from taesd_stream.live.intake import Intake
from taesd_stream.live.memory_log import MemoryLog
from taesd_stream.live.peers import Peers
from taesd_stream.live.place import Place
from taesd_stream.live.player import Player
from taesd_stream.live.pushed_latents import MOST_UPLOAD_BYTES, PushedLatents
from taesd_stream.live.serving import Server
from taesd_stream.live.session import Session
from taesd_stream.live.supply import Supply
from taesd_stream.live.told import Told
from video.closing import Closing

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from taesd_stream.sinks import Sink, VideoSink

__all__ = ["PageServer"]


class PageServer(Closing):
    """A page that is served.

    Args:
        place: Where.
        access: To whom.
        supply: What it decodes.
        told: What it is told of what it shows.
        open_sink: Opens what decodes latents that are pushed, for a sink.

    Attributes:
        session: What it shows.
        port: On which it listens.

    Raises:
        InputError: It cannot be served there.
    """

    session: Session

    def __init__(
        self,
        place: Place,
        access: Access,
        supply: Supply,
        told: Told,
        open_sink: Callable[[Sink], VideoSink],
    ) -> None:
        self._place, self._access = place, access
        with ExitStack() as opened:
            self._server = Server(place, lambda port: self._open(port, supply, told, open_sink))
            opened.callback(self._server.close)
            self.port = self._server.port
            if supply.played is not None:
                player = Player(supply.played, self.session.broadcast.show)
                opened.callback(player.close)
                self.session.player = player
            if self.session.intake is not None:
                opened.callback(self.session.intake.close)
            # First of all, so that nothing waits for the turn of a frame any more.
            opened.callback(self.session.broadcast.stop)
            self._opened = opened.pop_all()

    def check(self) -> None:
        """Raise what ended the server, if something has."""
        self._server.check()

    def close(self) -> None:
        """Finish recordings and end; a second call does nothing."""
        self._opened.close()

    async def _open(
        self,
        port: int,
        supply: Supply,
        told: Told,
        open_sink: Callable[[Sink], VideoSink],
    ) -> tuple[ASGIApp, Callable[[], Awaitable[None]]]:
        """Make what is served, in the server's loop, and what ends it."""
        broadcast, closing = Broadcast(told.recordings, told.published.put), asyncio.Event()
        ae, played, intake = supply.ae, supply.played, None
        if ae is not None and played is None:
            spec = ae.spec
            accepts = PushedLatents(
                spec.name, spec.latent_channels, spec.spatial_scale, MOST_UPLOAD_BYTES
            )
            intake = Intake(accepts, open_sink, broadcast.show)
        memory = MemoryLog(None if ae is None else ae.settings.device)
        self.session = Session(
            told.title,
            None if ae is None else ae.spec.name,
            *(broadcast, memory, told.published),
            intake=intake,
        )
        peers = Peers(broadcast.feed, broadcast.viewers, self._place.host)
        sampling = asyncio.ensure_future(memory.go_on())
        app = make_app(self.session, peers, self._access, f"taesd_live_{port}", closing)

        async def end() -> None:
            closing.set()
            sampling.cancel()
            await peers.close()
            await broadcast.close()

        return app, end
