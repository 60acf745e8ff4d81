"""What viewers get, by WebRTC and as JPEG pictures: read by programs, without a browser."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from PIL import Image

import taesd_stream as ts
from taesd_stream.live.peers import _keep_on_loopback
from tests.live.asking import LONG_SECONDS, ask, frame_of, until

Frame = npt.NDArray[np.uint8]


def _flat(*colour: int, height: int = 64, width: int = 96) -> Frame:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.fixture
def plain() -> Iterator[ts.LivePage]:
    """A page that shows the frames that it is given."""
    with ts.LivePage(port=0) as page:
        yield page


@contextmanager
def _pictures(port: int, path: str = "/stream.mjpg") -> Iterator[tuple[HTTPResponse, Any]]:
    """A stream of JPEG pictures, and what reads the next one."""
    connection = HTTPConnection("127.0.0.1", port, timeout=LONG_SECONDS)
    connection.request("GET", path)
    response = connection.getresponse()

    def read() -> Frame:
        boundary = response.readline()
        while boundary == b"\r\n":
            boundary = response.readline()
        assert boundary == b"--frame\r\n"
        headers = {}
        while (line := response.readline()) != b"\r\n":
            name, _, text = line.decode().partition(":")
            headers[name.lower()] = text.strip()
        assert headers["content-type"] == "image/jpeg"
        data = response.read(int(headers["content-length"]))
        return np.asarray(Image.open(io.BytesIO(data)))

    try:
        yield response, read
    finally:
        response.close()
        connection.close()


def test_jpeg_pictures_come_part_by_part(plain: ts.LivePage) -> None:
    plain.write(_flat(200, 30, 90))
    with _pictures(plain.port) as (response, read):
        said = response.getheader("content-type")
        assert said == "multipart/x-mixed-replace; boundary=frame"
        assert np.abs(read().astype(int) - (200, 30, 90)).max() <= 3
        assert [each.kind for each in plain.status.viewers] == ["mjpeg"]
        for level in (0, 80, 255):
            plain.write(_flat(level, level, level, height=48))
            shown = read()
            assert shown.shape == (48, 96, 3)
            assert np.abs(shown.astype(int) - level).max() <= 2
    until(lambda: plain.status.viewers == ())


def test_a_slow_viewer_drops_its_own_frames_and_holds_nobody_up(plain: ts.LivePage) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    plain.write(noise)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", plain.port))
        slow.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        until(lambda: len(plain.status.viewers) == 1)
        with _pictures(plain.port) as (_, read):
            read()
            for number in range(60):
                plain.write(np.roll(noise, number))
                read()
            present = sorted((each.sent, each.dropped) for each in plain.status.viewers)
            assert present[-1] == (61, 0)
            assert present[0][0] < 60
    until(lambda: plain.status.viewers == ())
    assert plain.status.shown == 61


def test_a_stream_ends_with_the_page(plain: ts.LivePage) -> None:
    plain.write(_flat(1, 2, 3))
    with _pictures(plain.port) as (response, read):
        read()
        plain.close()
        assert response.read() == b"\r\n--frame\r\n"
    assert _refuses(plain.port)


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_viewers_too_many_are_told_so(plain: ts.LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain._server.session.broadcast.viewers, "_most", 1)
    plain.write(_flat(1, 2, 3))
    with _pictures(plain.port) as (_, read):
        read()
        answer = ask(plain.port, "/stream.mjpg")
        assert answer.status == 503
        assert answer.words.startswith("viewers: expected fewer")


class _Watcher:
    """A viewer by WebRTC."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        _keep_on_loopback(self._peer.addTransceiver("video", "recvonly"))
        self._track: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._peer.on("track", self._track.set_result)

    async def open(self) -> None:
        peer = self._peer
        await peer.setLocalDescription(await peer.createOffer())
        offer = json.dumps({"type": "offer", "sdp": peer.localDescription.sdp}).encode()
        answer = await asyncio.to_thread(ask, self._port, "/offer", offer)
        assert answer.status == 200, answer.words
        sdp = json.loads(answer.body)["sdp"]
        assert "H264" in sdp
        assert "VP8" not in sdp
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def picture(self, is_it: Callable[[Frame], bool]) -> Frame:
        """The first that is."""
        async with asyncio.timeout(LONG_SECONDS):
            track = await self._track
            while True:
                frame = (await track.recv()).to_ndarray(format="rgb24")
                if is_it(frame):
                    return np.asarray(frame)

    async def close(self) -> None:
        await self._peer.close()


def _is_about(*colour: int) -> Callable[[Frame], bool]:
    """Whether a picture has a colour, within a few levels everywhere."""
    return lambda frame: (
        frame.shape == (64, 96, 3) and bool(np.abs(frame.astype(int) - colour).max() <= 6)
    )


@contextmanager
def _shown_all_the_time(page: ts.LivePage) -> Iterator[Callable[..., None]]:
    """A colour goes on being shown: aiortc hands a picture on when the next has come."""
    colour, is_over = [(30, 60, 120)], threading.Event()

    def show() -> None:
        while not is_over.wait(0.02):
            page.write(_flat(*colour[0]))

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield lambda *next_one: colour.__setitem__(0, next_one)
    finally:
        is_over.set()
        thread.join()


def test_viewers_by_webrtc_see_what_is_shown_and_leave_nothing(plain: ts.LivePage) -> None:
    async def watch(show: Callable[..., None]) -> None:
        first, second = _Watcher(plain.port), _Watcher(plain.port)
        await first.open()
        await first.picture(_is_about(30, 60, 120))
        await second.open()
        await second.picture(_is_about(30, 60, 120))
        assert [each.kind for each in plain.status.viewers] == ["webrtc", "webrtc"]
        show(180, 90, 40)
        for viewer in (first, second):
            await viewer.picture(_is_about(180, 90, 40))
        await first.close()
        await asyncio.to_thread(until, lambda: len(plain.status.viewers) == 1)
        show(10, 10, 10)
        await second.picture(_is_about(10, 10, 10))
        await second.close()
        await asyncio.to_thread(until, lambda: plain.status.viewers == ())

    with _shown_all_the_time(plain) as show:
        asyncio.run(watch(show))


def test_stills_are_made_once_and_are_what_is_shown(plain: ts.LivePage) -> None:
    assert ask(plain.port, "/frame.png").status == 503
    ramp = np.arange(64 * 96 * 3, dtype=np.uint32).reshape(64, 96, 3).astype(np.uint8)
    plain.write(ramp)
    np.testing.assert_array_equal(frame_of(plain.port), ramp)
    assert ask(plain.port, "/frame.png").body == ask(plain.port, "/frame.png").body
    assert ask(plain.port, "/frame.jpg").headers["content-type"] == "image/jpeg"
