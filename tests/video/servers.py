"""Servers for tests of publishing, on this machine: FFmpeg's, and ones that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
import psutil
from numpy.typing import NDArray

LONG_SECONDS = 20
"""After which a test that hangs is given up; nothing waits so long where all is well."""

LISTENING: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "rtmp": (
            "rtmp://127.0.0.1:{port}/app/key",
            {"listen": "1", "analyzeduration": "100000"},
        ),
        "rtsp": (
            "rtsp://127.0.0.1:{port}/name",
            {
                "rtsp_flags": "listen",
                "rtsp_transport": "tcp",
                "listen_timeout": str(LONG_SECONDS),
                "allowed_media_types": "video",
            },
        ),
        "udp": ("udp://127.0.0.1:{port}?timeout=10000000", {"analyzeduration": "200000"}),
    }
)
"""A scheme -> where FFmpeg listens, and its options."""


def picture(number: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A smooth picture that moves, so that a coded one is near it and far from its neighbours."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 200, width).astype(np.uint8)
    image[..., 1] = np.linspace(40, 200, height).astype(np.uint8)[:, None]
    image[..., 2] = 20 + 7 * (number % 30)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number of a received picture; fails where it is not the one that was sent."""
    number = round((float(image[..., 2].mean()) - 20) / 7)
    np.testing.assert_allclose(image, picture(number, *image.shape[:2]), atol=8)
    return number


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """Takes a stream in a thread of its own.

    Args:
        scheme: Of ``LISTENING``.
        most: Pictures after which it goes away.
    """

    def __init__(self, scheme: str, *, most: int = 10**9) -> None:
        self.received: list[tuple[Fraction | None, NDArray[np.uint8]]] = []
        is_udp = scheme == "udp"
        self.port = free_port(socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
        place, self._options = LISTENING[scheme]
        self._place, self._most = place.format(port=self.port), most
        self._format = "mpegts" if is_udp else None
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()
        self._wait_until_it_listens("udp" if is_udp else "tcp")

    def join(self) -> None:
        self._thread.join(LONG_SECONDS)
        assert not self._thread.is_alive()

    def _receive(self) -> None:
        with (
            suppress(av.FFmpegError),
            av.open(
                self._place,
                options=dict(self._options),
                format=self._format,
                timeout=LONG_SECONDS,
            ) as container,
        ):
            container.streams.video[0].codec_context.thread_count = 1
            for frame in container.decode(video=0):
                seconds = None if frame.pts is None else frame.pts * frame.time_base
                self.received.append((seconds, frame.to_ndarray(format="rgb24")))
                if len(self.received) >= self._most:
                    return

    def _wait_until_it_listens(self, kind: str) -> None:
        own = psutil.Process()
        waiting = threading.Event()
        for _ in range(100 * LONG_SECONDS):
            if any(each.laddr.port == self.port for each in own.net_connections(kind)):
                return
            waiting.wait(0.01)
        raise AssertionError(f"nothing listens at {self._place}")


def played(playlist: Path) -> list[tuple[Fraction, NDArray[np.uint8]]]:
    """The times, from the first one, and the pictures of an HLS playlist."""
    with av.open(f"file:{playlist}") as container:
        found = [
            (frame.pts * frame.time_base, frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]
    return [(at - found[0][0], image) for at, image in found]


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that lets others connect and never says a word; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])
