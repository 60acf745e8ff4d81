"""A WHIP server on this machine, by aiortc: an implementation of WebRTC that is not FFmpeg's."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from tests.video.servers import LONG_SECONDS


class WhipServer:
    """Takes one stream; a context manager.

    Attributes:
        received: Times in seconds, and pictures.
        tokens: What came as authorization.
        is_left: Whether the other side said goodbye.
    """

    def __init__(self) -> None:
        self.received: list[tuple[float, NDArray[np.uint8]]] = []
        self.tokens: list[str | None] = []
        self.is_left = False
        self._loop = asyncio.new_event_loop()
        self._connections: list[RTCPeerConnection] = []
        self._reading: list[asyncio.Task[None]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._http.server_port
        self._threads = [
            threading.Thread(target=self._loop.run_forever),
            threading.Thread(target=self._http.serve_forever, args=[0.02]),
        ]

    def __enter__(self) -> WhipServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(LONG_SECONDS)
            assert not thread.is_alive()
        self._loop.close()

    def _run(self, work: object) -> object:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LONG_SECONDS)

    async def _close(self) -> None:
        for connection in self._connections:
            await connection.close()
        await asyncio.gather(*self._reading)

    async def _answer(self, offer: str) -> str:
        connection = RTCPeerConnection()
        self._connections.append(connection)

        @connection.on("track")
        def read(track: MediaStreamTrack) -> None:
            self._reading.append(asyncio.ensure_future(self._read(track)))

        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    async def _read(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self.received.append((frame.time, frame.to_ndarray(format="rgb24")))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.tokens.append(self.headers["Authorization"])
                offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
                answer = server._run(server._answer(offer)).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/sdp")
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("Location", f"http://127.0.0.1:{server.port}/session")
                self.end_headers()
                self.wfile.write(answer)

            def do_DELETE(self) -> None:
                server.is_left = True
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        return Handler
