"""``LivePage``: a page in a browser that shows what is decoded while it is."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from taesd_stream.engine.options import Crop, Overlap, Tile, TileOptions, Wrap
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model
from taesd_stream.latents.opening import Latents
from taesd_stream.live.access import Access, is_loopback, new_token
from taesd_stream.live.extra import check_extra
from taesd_stream.live.place import Place
from taesd_stream.live.published import Published
from taesd_stream.live.status import Status
from taesd_stream.live.supply import open_supply
from taesd_stream.live.told import Told
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.sinks import Sink, Target, VideoSink
from taesd_stream.sinks.pacing import Rate

__all__ = ["DEFAULT_PORT", "LivePage"]

DEFAULT_PORT = 8765

_FRAMES_THAT_WAIT = 8


class LivePage:
    """A page in a browser that shows what is decoded while it is, served from this process.

    A context manager, and a sink: ``VideoSink`` and whoever has a ``Sink`` may write to it. With
    ``latents`` it plays them; with a ``model`` alone it decodes what other programs push (see
    ``LiveClient``); with neither it shows the frames that it is given.

    The page shows the picture by WebRTC (H.264), or as a stream of JPEG pictures where a browser
    has none, with frames per second, latency, dropped frames, memory, and the plan; it can pause,
    step, seek, save the frame and record. Each viewer that is slow drops frames for itself.

    Only this machine reaches it, unless ``host`` says otherwise; then whoever opens it has to show
    the ``token``, which is part of ``url``.

    Args:
        latents: To be played, as ``open_latents`` takes them or opened; None for none.
        model: What ``load`` takes, or a loaded model; None is the official one for the latents.
        frames: Which frames are played; None is all.
        fps: Frames per second; None is the rate that a file says its video had, or else 24.
        loop: Whether they are played again and again.
        title: Words for what is shown; None is the name of the file.
        host: The address to listen on: "0.0.0.0" is every one of this machine.
        port: 0 is any that is free.
        token: What viewers and pushers have to show; "auto" is a new one where others reach the
            page, and none where they do not.
        certificate: A PEM file, for https.
        private_key: A PEM file with its key, where ``certificate`` does not hold it.
        recordings: The folder for recordings.
        publish: Targets that get every frame, too, as ``VideoSink`` takes them.
        overwrite: Whether files among these may be replaced.
        convention, tile, overlap, memory, crop, wrap, threads, chunk, seed: As of ``decode``.

    Raises:
        InputError: Something given is wrong, or the port is taken.
        MissingExtraError: A library for a target is not installed.

    >>> import numpy as np
    >>> with LivePage(port=0) as page:
    ...     page.write(np.zeros((16, 24, 3), np.uint8))
    ...     page.status.shown, page.status.width
    (1, 24)
    """

    def __init__(
        self,
        latents: Latents | None = None,
        *,
        model: Model | None = None,
        frames: slice | None = None,
        fps: Rate | None = None,
        loop: bool = False,
        title: str | None = None,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        token: str | None = "auto",
        certificate: str | os.PathLike[str] | None = None,
        private_key: str | os.PathLike[str] | None = None,
        recordings: str | os.PathLike[str] = ".",
        publish: Target | Sequence[Target] = (),
        overwrite: bool = False,
        convention: Convention | None = None,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
    ) -> None:
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
        place = Place(host, port, _path(certificate), _path(private_key))
        if token == "auto":
            token = None if is_loopback(host) else new_token()
        self._access, self._place = Access(host, token), place
        self._process, self._is_closed = os.getpid(), False
        check_extra()
        from taesd_stream.live.page_server import PageServer

        def open_sink(shown: Sink) -> VideoSink:
            return VideoSink(
                shown,
                model=supply.ae,
                when_full="wait",
                queue=_FRAMES_THAT_WAIT,
                convention=convention,
                tile=tile,
                overlap=overlap,
                memory=memory,
                threads=threads,
            )

        with ExitStack() as opened:
            supply = opened.enter_context(
                open_supply(
                    *(latents, model, options),
                    convention=convention,
                    frames=frames,
                    fps=fps,
                    is_looped=loop,
                )
            )
            published = opened.enter_context(Published(publish, overwrite=overwrite))
            told = Told(title or supply.title, Path(recordings), published)
            self._server = opened.enter_context(
                PageServer(place, self._access, supply, told, open_sink)
            )
            self._opened = opened.pop_all()
        atexit.register(self.close)

    @property
    def url(self) -> str:
        """The address to open in a browser of this machine, with the token if there is one."""
        return self.url_of("")

    def url_of(self, name: str) -> str:
        """The address of something on the page, such as "stream.mjpg" or "latents"."""
        scheme = "http" if self._place.certificate is None else "https"
        host = self._place.host
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
        token = "" if self._access.token is None else f"?token={self._access.token}"
        return (
            f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._server.port}/{name}{token}"
        )

    @property
    def token(self) -> str | None:
        """What viewers and pushers have to show; None if nothing."""
        return self._access.token

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    @property
    def status(self) -> Status:
        """Its state."""
        return self._server.session.status

    def write(self, frame: Any) -> None:
        """Show a frame, as ``Sink.write`` takes it.

        Raises:
            InputError: It is no frame, or the page is closed.
        """
        self.write_at(frame, time.monotonic())

    def write_at(self, frame: Any, at: float) -> None:
        """``write``, of a frame that came, or whose latent came, at a time.

        Args:
            at: Seconds of ``time.monotonic``; by it the latency is measured, and frames that come
                together are shown one after the other.
        """
        if self._is_closed:
            raise InputError("page: it is closed, and shows no more; open another")
        self._server.session.broadcast.show(frame, at)

    def wait(self) -> None:
        """Wait until Ctrl-C, or until another thread closes the page.

        Raises:
            TaesdStreamError: The server has ended.
        """
        while not self._is_closed:
            self._server.check()
            time.sleep(0.2)

    def close(self) -> None:
        """Finish recordings and stop serving; a second call does nothing."""
        if self._is_closed or os.getpid() != self._process:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _path(given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(given)
