"""Connections of which nothing comes end by themselves."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest
import torch

import taesd_stream as ts
from tests.live.asking import ask
from tests.live.attacks import BODIES, UPGRADE, frame, head

_HEAD = b"POST /latents HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_CONTROL = b"POST /control HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience than with real clients."""
    monkeypatch.setattr("taesd_stream.live.connections.SECONDS_TO_ASK", 0.1)
    monkeypatch.setattr("taesd_stream.live.connections.SECONDS_TO_SAY", 0.1)
    monkeypatch.setattr("taesd_stream.live.connections.SECONDS_TO_LEAVE", 0.1)
    monkeypatch.setattr("taesd_stream.live.bodies._SECONDS", 0.1)
    monkeypatch.setattr("taesd_stream.live.uploads._IDLE_SECONDS", 0.3)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"GET / HTT", b""),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: ", b""),
        (_HEAD + b"Content-Length: 100\r\n\r\nabc", b"HTTP/1.1 408"),
        (_HEAD + b"Content-Length: 1000\r\n\r\n" + head(b"", length=500), b"HTTP/1.1 408"),
        (_CONTROL + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (_CONTROL + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", b"HTTP/1.1 408"),
        (b"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"HTTP/1.1 200"),
        (UPGRADE[:-2], b""),
    ],
    ids=lambda value: None if value[:5] == b"HTTP/" else value[-40:].decode("latin-1"),
)
def test_it_ends(page: ts.LivePage, sent: bytes, answered: bytes) -> None:
    assert _all_from(page.port, sent)[: len(answered) or 1] == answered
    assert ask(page.port, "/status.json").status == 200


@pytest.mark.parametrize(
    "sent", [b"", frame(0x82, b"abc", length=500), frame(0x02, b"abc"), frame(0x02, b"abc")[:3]]
)
def test_sockets_end(page: ts.LivePage, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    if sent:  # then it is not idle, but slow
        monkeypatch.setattr("taesd_stream.live.uploads._IDLE_SECONDS", 20.0)
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as client:
        client.sendall(UPGRADE)
        assert client.recv(16).startswith(b"HTTP/1.1 101")
        client.sendall(sent)
        _read_all(client)


def test_who_reads_nothing_is_left(page: ts.LivePage) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", page.port))
        client.settimeout(20)
        assert _is_cut(client, b"GET /page/page.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)


def test_too_many_are_refused(page: ts.LivePage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.live.connections.SECONDS_TO_ASK", 20.0)
    monkeypatch.setattr("taesd_stream.live.connections.MOST_CONNECTIONS", 3)
    held = [socket.create_connection(("127.0.0.1", page.port), timeout=20) for _ in range(5)]
    assert all(_read_all(client) == b"" for client in held[3:])
    for client in held:
        client.close()


def test_who_pushes_nothing_right_makes_room(
    page: ts.LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taesd_stream.live.uploads._IDLE_SECONDS", 20.0)
    bad = frame(0x82, BODIES["another name"])
    sockets = []
    for _ in range(20):
        sockets.append(socket.create_connection(("127.0.0.1", page.port), timeout=20))
        sockets[-1].sendall(UPGRADE + bad)
        assert sockets[-1].recv(16).startswith(b"HTTP/1.1 101")
    with ts.LiveClient(page.url) as client:
        client.push(torch.zeros(4, 2, 2))
    assert client.counts.sent == 1
    for each in sockets:
        each.close()


def _all_from(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(sent)
        return _read_all(client)


def _read_all(client: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionResetError):
        while part := client.recv(4096):
            said += part
    return said


def _is_cut(client: socket.socket, data: bytes) -> bool:
    """Send until it is."""
    try:
        while True:
            client.sendall(data)
    except (ConnectionResetError, BrokenPipeError):
        return True
