"""The routes of a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route, WebSocketRoute

from taesd_stream.errors import InputError, TaesdStreamError
from taesd_stream.live.access import Access
from taesd_stream.live.bodies import read_json
from taesd_stream.live.guard import Guard
from taesd_stream.live.hls import PLAYLIST
from taesd_stream.live.metrics import CONTENT_TYPE, metrics_text
from taesd_stream.live.mjpeg import MjpegStream
from taesd_stream.live.page_files import PAGE, PageFiles
from taesd_stream.live.peers import Peers
from taesd_stream.live.session import Session
from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.live.status_socket import StatusSocket
from taesd_stream.live.uploads import Uploads
from taesd_stream.live.viewers import FullError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["make_app"]

_HLS_TYPES: Final = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t"}
_NO_STORE: Final = {"Cache-Control": "no-store"}


def make_app(
    session: Session, peers: Peers, access: Access, cookie: str, closing: asyncio.Event
) -> ASGIApp:
    """The application that serves a page.

    Args:
        session: What it shows.
        peers: Those who watch by WebRTC.
        access: Who may.
        cookie: The name of the cookie that holds the token.
        closing: Ends streams.
    """
    handlers = _Handlers(session, peers, access, cookie)
    routes = [
        Route("/", handlers.index),
        Route("/status.json", handlers.status),
        Route("/metrics", handlers.metrics),
        Route("/frame.png", handlers.still),
        Route("/frame.jpg", handlers.still),
        Route("/stream.mjpg", MjpegStream(session.broadcast, closing), methods=["GET"]),
        Route("/hls/{name}", handlers.hls),
        Route("/offer", handlers.offer, methods=["POST"]),
        Route("/control", handlers.control, methods=["POST"]),
        Route("/recording", handlers.record, methods=["POST"]),
        Route("/recordings/{name}", handlers.recording),
        WebSocketRoute("/status", StatusSocket(session, closing).serve),
        Mount("/page", PageFiles()),
    ]
    if session.intake is not None:
        uploads = Uploads(session.intake)
        routes += [
            Route("/latents", uploads.post, methods=["POST"]),
            WebSocketRoute("/latents", uploads.socket),
        ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _as_words,
            InputError: _as_bad_request,
            TaesdStreamError: _as_failure,
            FullError: _as_full,
        },
    )
    return Guard(app, access, cookie)


class _Handlers:
    """What is answered to each request."""

    def __init__(self, session: Session, peers: Peers, access: Access, cookie: str) -> None:
        self._session, self._peers = session, peers
        self._access, self._cookie = access, cookie

    async def index(self, request: Request) -> Response:
        """The page; its token goes from the address into a cookie."""
        if self._access.token is None or "token" not in request.query_params:
            return FileResponse(PAGE / "index.html", headers=_NO_STORE)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER, _NO_STORE)
        answer.set_cookie(
            *(self._cookie, self._access.token),
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    async def status(self, request: Request) -> Response:
        """The state, and the memory in use over time."""
        samples = [asdict(each) for each in self._session.memory.samples]
        state = {**self._session.status.to_json(), "memory_samples": samples}
        return JSONResponse(state, headers=_NO_STORE)

    async def metrics(self, request: Request) -> Response:
        """The state for Prometheus."""
        viewers = self._session.broadcast.viewers
        text = metrics_text(self._session.status, viewers.sent, viewers.dropped)
        return Response(text, media_type=CONTENT_TYPE)

    async def still(self, request: Request) -> Response:
        """The frame that is shown, as a picture."""
        broadcast, is_png = self._session.broadcast, request.url.path.endswith(".png")
        frame = self._shown()
        data = await (broadcast.png if is_png else broadcast.jpeg).of(frame)
        name = f"frame-{frame.number if frame.place is None else frame.place:05d}"
        name += ".png" if is_png else ".jpg"
        headers = {**_NO_STORE, "Content-Disposition": f'inline; filename="{name}"'}
        return Response(data, headers=headers, media_type=f"image/{'png' if is_png else 'jpeg'}")

    async def hls(self, request: Request) -> Response:
        """The playlist of HLS, or a segment of it."""
        name = request.path_params["name"]
        path = await self._session.broadcast.hls.path_of(name, self._shown())
        if path is None:
            raise HTTPException(
                HTTPStatus.NOT_FOUND,
                f"hls: expected {PLAYLIST}, or what it names, found {name!r:.80}",
            )
        kind = _HLS_TYPES.get(path.suffix, "application/octet-stream")
        return FileResponse(path, headers=_NO_STORE, media_type=kind)

    async def offer(self, request: Request) -> Response:
        """Answer a browser that offers to watch by WebRTC."""
        offer = (await read_json(request)).get("sdp")
        if not isinstance(offer, str):
            raise InputError("offer: expected a session description as 'sdp', found none")
        client = "127.0.0.1" if request.client is None else request.client.host
        return JSONResponse({"type": "answer", "sdp": await self._peers.answer(offer, client)})

    async def control(self, request: Request) -> Response:
        """Tell the player what to do."""
        said = await read_json(request)
        if self._session.player is None:
            raise HTTPException(
                HTTPStatus.CONFLICT, "control: expected a file that is played, found none"
            )
        self._session.player.tell(str(said.get("action")), said.get("value"))
        return JSONResponse(self._session.status.to_json())

    async def record(self, request: Request) -> Response:
        """Begin or finish a recording."""
        action = (await read_json(request)).get("action")
        recorder = self._session.broadcast.recorder
        if action == "start":
            return JSONResponse({"name": await recorder.start(self._shown())})
        if action == "stop":
            return JSONResponse({"name": await recorder.stop()})
        raise InputError(f"action: expected start or stop, found {action!r:.40}")

    async def recording(self, request: Request) -> Response:
        """A recording that is finished."""
        name = request.path_params["name"]
        path = self._session.broadcast.recorder.path_of(name)
        if path is None or not path.is_file():
            raise HTTPException(
                HTTPStatus.NOT_FOUND, f"recording: found none of the name {name!r:.80}"
            )
        return FileResponse(path, filename=name)

    def _shown(self) -> ShownFrame:
        frame = self._session.broadcast.newest.item
        if frame is None:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "frame: none is shown yet", {"Retry-After": "1"}
            )
        return frame


def _as_words(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)


def _answering(
    status: HTTPStatus,
) -> Callable[[Request, Exception], Response]:
    return lambda request, error: PlainTextResponse(f"{error}\n", status)


_as_bad_request = _answering(HTTPStatus.BAD_REQUEST)
_as_failure = _answering(HTTPStatus.INTERNAL_SERVER_ERROR)
_as_full = _answering(HTTPStatus.SERVICE_UNAVAILABLE)
