"""Malformed pushes and requests of all kinds, at a page that takes latents of four channels.

Each is a name and a function of a port and a source of chance; what may come back is checked there.
"""

from __future__ import annotations

import io
import json
import random
import socket
import struct
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import Any

import safetensors.torch
import torch

from tests.live.asking import ask

__all__ = ["ATTACKS", "BODIES", "UPGRADE", "Attack", "exchange", "frame", "head", "raw"]

Attack = Callable[[int, random.Random], None]


def head(fields: object, numbers: bytes = b"", length: int | None = None) -> bytes:
    """A .safetensors file of any header."""
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def _entry(shape: list[Any], size: int, dtype: str = "F32") -> dict[str, Any]:
    return {"latents": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}


def _saved(**arrays: torch.Tensor) -> bytes:
    return safetensors.torch.save(arrays)


def _pickled() -> bytes:
    file = io.BytesIO()
    torch.save({"latents": torch.zeros(4, 2, 2)}, file)
    return file.getvalue()


_GOOD = _saved(latents=torch.zeros(4, 2, 2))

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "three bytes": b"abc",
    "of five channels": _saved(latents=torch.zeros(5, 2, 2)),
    "a plane": _saved(latents=torch.zeros(2, 2)),
    "a number": _saved(latents=torch.zeros(())),
    "five axes": _saved(latents=torch.zeros(1, 1, 4, 2, 2)),
    "channels behind": _saved(latents=torch.zeros(2, 2, 4)),
    "no rows": _saved(latents=torch.zeros(4, 0, 2)),
    "no latents": _saved(latents=torch.zeros(0, 4, 2, 2)),
    "too many latents": _saved(latents=torch.zeros(300, 4, 1, 1)),
    "whole numbers": _saved(latents=torch.zeros(4, 2, 2, dtype=torch.int64)),
    "bytes": _saved(latents=torch.zeros(4, 2, 2, dtype=torch.uint8)),
    "truths": _saved(latents=torch.zeros(4, 2, 2, dtype=torch.bool)),
    "NaN": _saved(latents=torch.full((4, 2, 2), torch.nan)),
    "infinity": _saved(latents=torch.full((3, 4, 2, 2), torch.inf)),
    "two arrays": _saved(latents=torch.zeros(4, 2, 2), others=torch.zeros(4, 2, 2)),
    "another name": _saved(samples=torch.zeros(4, 2, 2)),
    "a picture too large": _saved(latents=torch.zeros(4, 520, 520, dtype=torch.float16)),
    "a picture too long": _saved(latents=torch.zeros(4, 1, 2100, dtype=torch.float16)),
    "a header without end": head(b"{}", length=2**64 - 1),
    "a long header": head(b" " * 20_000),
    "a header beyond the file": head(b"{}", length=500),
    "no JSON": head(b"\xff\xfe{]"),
    "a list": head([]),
    "nothing said": head({}),
    "deep lists": head(b"[" * 8000),
    "deep objects": head(b'{"a":' * 3000),
    "many digits": head(b'{"latents":{"dtype":"F32","shape":[' + b"9" * 6000 + b"]}}"),
    "negative sizes": head(_entry([4, -2, -2], 64), bytes(64)),
    "sizes that are none": head(_entry([4, "2", None], 64), bytes(64)),
    "sizes of fractions": head(_entry([4, 2.0, 2], 64), bytes(64)),
    "an unknown kind": head(_entry([4, 2, 2], 64, "F4096"), bytes(64)),
    "a kind that is none": head({"latents": {"dtype": {}, "shape": [4], "data_offsets": [0, 1]}}),
    "places that lie": head(_entry([4, 2, 2], 2**62), bytes(64)),
    "sizes that lie": head(_entry([4, 2**20, 2**20], 64), bytes(64)),
    "places that go back": head(
        {"latents": {"dtype": "F32", "shape": [4, 2, 2], "data_offsets": [64, 0]}}, bytes(64)
    ),
    "a name twice": head(
        b'{"latents":{"dtype":"F32","shape":[4,2,2],"data_offsets":[0,64]},'
        b'"latents":{"dtype":"F32","shape":[9,2,2],"data_offsets":[0,144]}}',
        bytes(64),
    ),
    "cut": _GOOD[:-3],
    "something behind": _GOOD + b"more",
    "a pickle": _pickled(),
    "a zip": b"PK\x03\x04" + bytes(100),
    "a call": b"cos\nsystem\n(S'true'\ntR.",
}
"""Bodies that are refused with 400."""


def raw(port: int, data: bytes, *, reads: bool = True) -> bytes:
    """Send bytes, and read until the connection ends, or for a moment."""
    with _connected(port) as connection:
        answer = b""
        with suppress(OSError):
            connection.sendall(data)
            connection.settimeout(0.2 if reads else 0.001)
            while part := connection.recv(1 << 16):
                answer += part
        return answer


@contextmanager
def _connected(port: int) -> Any:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def _post(body: bytes) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        answer = ask(port, "/latents", body)
        assert answer.status == 400, (answer.status, answer.words)
        assert answer.words.count("\n") == 1
        assert "expected" in answer.words

    return attack


def _random_body(port: int, chance: random.Random) -> None:
    assert ask(port, "/latents", chance.randbytes(chance.randrange(3000))).status == 400


def _damaged_body(port: int, chance: random.Random) -> None:
    data = bytearray(_GOOD)
    data[chance.randrange(0, 8)] = chance.randrange(1, 256)  # of the header's length
    assert ask(port, "/latents", bytes(data)).status in (202, 400)


def _socket_message(body: bytes) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        answer = exchange(port, frame(0x82, body))
        assert b'{"error":"' in answer, answer[:200]

    return attack


_HEAD = b"POST /latents HTTP/1.1\r\nHost: 127.0.0.1\r\n"

_REQUESTS: dict[str, bytes] = {
    "no length": _HEAD + b"\r\n" + _GOOD,
    "chunks": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    "chunks of no size": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": _HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "less than nothing": _HEAD + b"Content-Length: -5\r\n\r\n",
    "a length of many digits": _HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length too large": _HEAD + b"Content-Length: 99999999999\r\n\r\n",
    "length and chunks": _HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.org\r\n\r\n",
    "an old version": b"GET /status.json HTTP/1.0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "an endless line": b"GET /" + b"a" * 70_000,
    "endless headers": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
    "a control character": b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "letters beyond ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "escapes that are none": b"GET /%ff%zz?token=%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "an upgrade to what is unknown": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\n"
    b"Upgrade: h2c\r\n\r\n",
    "an upgrade without a key": b"GET /latents HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an upgrade of letters": b"GET /latents?\xe9 HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: \xe9\r\n"
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX: \xe9\r\n\r\n",
}


def _request(data: bytes) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        answer = raw(port, data)
        assert b" 500 " not in answer[:40], answer[:200]
        assert answer == b"" or answer[9:10] in b"24", answer[:200]

    return attack


def _cut_anywhere(port: int, chance: random.Random) -> None:
    request = _HEAD + b"Content-Length: %d\r\n\r\n" % len(_GOOD) + _GOOD
    raw(port, request[: chance.randrange(len(request))], reads=False)


def _reset(port: int, chance: random.Random) -> None:
    with _connected(port) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(_HEAD + b"Content-Length: 1000\r\n\r\nabc")


UPGRADE = (
    b"GET /latents HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def frame(first: int, data: bytes, *, length: int | None = None) -> bytes:
    """A frame of a client, masked with zeros."""
    size = len(data) if length is None else length
    if size < 126:
        said = struct.pack("!BB", first, 0x80 | size)
    elif size < 1 << 16:
        said = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        said = struct.pack("!BBQ", first, 0x80 | 127, size)
    return said + bytes(4) + data


def exchange(port: int, data: bytes) -> bytes:
    """Open a socket for latents, send bytes, and read until it answers or ends."""
    with _connected(port) as connection:
        connection.sendall(UPGRADE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        said = answer.partition(b"\r\n\r\n")[2]
        with suppress(OSError):
            connection.sendall(data)
            connection.settimeout(5)
            while not said:
                part = connection.recv(4096)
                if not part:
                    break
                said += part
        return said


_FRAMES: dict[str, bytes] = {
    "text": frame(0x81, b"hello"),
    "text that is none": frame(0x81, b"\xff\xfe\xfd"),
    "a frame too large": frame(0x82, b"abc", length=17 << 20),
    "a frame without end": frame(0x82, b"abc", length=(1 << 63) - 1),
    "compressed, unasked": frame(0xC2, b"\xcb\x48\xcd\xc9\xc9\x07\x00"),
    "a going on of nothing": frame(0x80, b"abc"),
    "an unknown kind of frame": frame(0x83, b"abc"),
    "a ping too long": frame(0x89, bytes(200)),
    "a ping in parts": frame(0x09, b"abc"),
    "an end of one byte": frame(0x88, b"a"),
    "an end for no reason": frame(0x88, struct.pack("!H", 99)),
    "unmasked": b"\x82\x05hello",
    "noise": bytes(range(255, 0, -1)),
}


def _frames(data: bytes) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        answer = exchange(port, data)
        assert answer == b"" or answer[:1] == b"\x88", answer[:100]  # it is closed

    return attack


def _half_message(port: int, chance: random.Random) -> None:
    with _connected(port) as connection:
        connection.sendall(UPGRADE + frame(0x02, bytes(1000)) + frame(0x82, b"", length=5000))


def _tiny_parts(port: int, chance: random.Random) -> None:
    answer = raw(port, UPGRADE + frame(0x02, b"") + frame(0x00, b"") * 6000)
    assert len(answer) < 4096


def _pings_unheard(port: int, chance: random.Random) -> None:
    with _connected(port) as connection, suppress(OSError):
        connection.settimeout(0.1)
        connection.sendall(UPGRADE + frame(0x89, bytes(100)) * 2000)


_FORBIDDEN: dict[str, dict[str, str]] = {
    "a foreign origin": {"Origin": "http://evil.org"},
    "no origin of its own": {"Origin": "null"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "an origin that is none": {"Origin": "http://[::1"},
    "a foreign host": {"Host": "evil.org"},
    "a foreign host that sounds like ours": {"Host": "127.0.0.1.evil.org:8765"},
    "a host that is none": {"Host": "["},
    "another site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
}


def _forbidden(headers: dict[str, str]) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        for path, body in (("/latents", _GOOD), ("/frame.png", None), ("/control", b"{}")):
            answer = ask(port, path, body, headers)
            assert answer.status == 403, (answer.status, answer.words)
            assert answer.words.count("\n") == 1
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        kept = b"" if "Host" in headers else b"Host: 127.0.0.1\r\n"
        answered = raw(port, UPGRADE.replace(b"Host: 127.0.0.1\r\n", kept + lines))
        assert answered.startswith(b"HTTP/1.1 403"), answered[:80]

    return attack


_OFFERS: dict[str, bytes] = {
    "no offer": b"",
    "a list for an offer": b"[]",
    "deep lists for an offer": b"[" * 60_000,
    "a number for an offer": b'{"sdp": 5}',
    "words for an offer": b'{"sdp": "hello"}',
    "no media": json.dumps({"sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"}).encode(),
    "sound alone": json.dumps(
        {
            "sdp": "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n"
        }
    ).encode(),
    "numbers that are none": json.dumps(
        {"sdp": "v=0\r\nm=video x y z\r\na=rtpmap:\r\na=fingerprint:\r\na=ssrc:q\r\n"}
    ).encode(),
    "too large an offer": b'{"sdp": "' + b"a" * 70_000 + b'"}',
}


def _offer(body: bytes) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        answer = ask(port, "/offer", body)
        assert answer.status in (400, 413), (answer.status, answer.words)
        assert answer.words.count("\n") == 1

    return attack


_PATHS = (
    "/page/../app.py",
    "/page/..%2fapp.py",
    "/page/%2e%2e/%2e%2e/live/app.py",
    "/page//etc/passwd",
    "/page/..\\app.py",
    "/recordings/../app.py",
    "/recordings/..%2f..%2fetc%2fpasswd",
    "/recordings/%00",
    "/recordings/" + "a" * 5000,
    "/nothing",
    "/latents/",
)


def _path(path: str) -> Attack:
    def attack(port: int, chance: random.Random) -> None:
        answer = ask(port, path)
        assert answer.status in (307, 404), (answer.status, answer.words)

    return attack


def _wrong_method(port: int, chance: random.Random) -> None:
    for path in ("/", "/status.json", "/frame.png", "/stream.mjpg", "/metrics", "/page/main.js"):
        assert ask(port, path, b"abc", method=chance.choice(("PUT", "DELETE"))).status == 405


ATTACKS: dict[str, Attack] = {
    **{f"POST: {name}": _post(body) for name, body in BODIES.items()},
    **{f"message: {name}": _socket_message(body) for name, body in BODIES.items()},
    "POST: noise": _random_body,
    "POST: damage": _damaged_body,
    **{f"request: {name}": _request(data) for name, data in _REQUESTS.items()},
    "request: cut anywhere": _cut_anywhere,
    "request: reset": _reset,
    **{f"frame: {name}": _frames(data) for name, data in _FRAMES.items()},
    "frame: half a message": _half_message,
    "frame: tiny parts": _tiny_parts,
    "frame: pings that nobody hears": _pings_unheard,
    **{f"access: {name}": _forbidden(headers) for name, headers in _FORBIDDEN.items()},
    **{f"offer: {name}": _offer(body) for name, body in _OFFERS.items()},
    **{f"path: {path[:40]}": _path(path) for path in _PATHS},
    "methods": _wrong_method,
}
"""All kinds, by name."""
