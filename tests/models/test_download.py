"""Downloads from a local server that behaves in every way servers misbehave."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taesd_stream.errors import DownloadError
from taesd_stream.models.weights.download import UnreachableError, download

CONTENT = hashlib.shake_256(b"weights").digest(300_000)
HALF = len(CONTENT) // 2


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; what goes wrong first is the path's name, unless `Server.calm`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        fault = self.path.strip("/")
        is_first = self.server.requests == 1
        if fault.startswith("status-"):
            _, status, repeats = fault.split("-")
            if self.server.requests <= int(repeats):
                self.send_status(int(status))
                return
        if fault == "redirect-file":
            self.send_status(302, Location="file:///etc/hostname")
            return
        if fault == "redirect":
            self.send_status(302, Location="/whole")
            return
        self.send_response(200)
        if fault != "no-length":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("Connection", "close")
        self.end_headers()
        body = CONTENT
        if fault == "flipped":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "cut-always":
            body = body[:1000]
        if fault == "slow" or (is_first and fault in ("cut", "interrupt")):
            body = body[:HALF]
        self.wfile.write(body)
        if fault == "slow":
            self.wfile.flush()
            time.sleep(0.3)
            self.wfile.write(CONTENT[len(body) :])
        if fault == "interrupt" and is_first:
            self.wfile.flush()
            self.server.when_interrupting()
        self.close_connection = True

    def send_status(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = 0
        self.when_interrupting: Callable[[], None] = lambda: None

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def verify(path: Path) -> str | None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = hashlib.sha256(CONTENT).hexdigest()
    return None if found == expected else f"expected sha256 {expected}, found {found}"


def get(url: str, target: Path, max_bytes: int = 10**6) -> None:
    download(
        url, target, verify=verify, max_bytes=max_bytes, timeout_seconds=5, backoff_seconds=0.01
    )


def names(folder: Path) -> list[str]:
    """All files but the empty ones that locks are on."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        ("whole", 1),
        ("no-length", 1),
        ("redirect", 2),
        ("cut", 2),
        ("status-503-2", 3),
        ("status-429-1", 2),
    ],
)
def test_the_file_arrives_in_the_end(
    server: Server, tmp_path: Path, fault: str, requests: int
) -> None:
    target = tmp_path / "new/folder/weights.pth"
    get(server.url(fault), target)
    assert target.read_bytes() == CONTENT
    assert server.requests == requests
    assert names(target.parent) == ["weights.pth"]


def test_an_older_file_is_replaced(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    target.write_bytes(b"older and longer" * 100_000)
    get(server.url("cut"), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "message", "requests"),
    [
        ("status-404-9", "found HTTP status 404; check the name", 1),
        ("status-403-9", "found HTTP status 403", 1),
        ("status-500-9", "found HTTP status 500 at attempt 4 of 4", 4),
        ("redirect-file", "found HTTP status 302", 1),
        ("flipped", "expected sha256 .*, found .* was removed", 1),
        ("cut-always", "cut at 1000 of 300000 bytes at attempt 4 of 4", 4),
    ],
)
def test_what_does_not_arrive_leaves_nothing(
    server: Server, tmp_path: Path, fault: str, message: str, requests: int
) -> None:
    with pytest.raises(DownloadError, match=message) as caught:
        get(server.url(fault), tmp_path / "weights.pth")
    assert "\n" not in str(caught.value)
    assert server.requests == requests
    assert names(tmp_path) == []


def test_a_server_that_falls_silent_is_left(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"timed out.* at attempt 2 of 2; try again later"):
        download(
            server.url("slow"),
            tmp_path / "weights.pth",
            verify=verify,
            timeout_seconds=0.1,
            attempts=2,
            backoff_seconds=0.01,
        )
    assert names(tmp_path) == []


def test_an_interrupt_leaves_nothing(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"

    def interrupt_once_some_is_written() -> None:
        while not any(path.stat().st_size >= HALF // 2 for path in tmp_path.iterdir()):
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    server.when_interrupting = interrupt_once_some_is_written
    with pytest.raises(KeyboardInterrupt):
        get(server.url("interrupt"), target)
    assert names(tmp_path) == []
    get(server.url("interrupt"), target)
    assert target.read_bytes() == CONTENT


def test_of_many_at_once_one_downloads(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    get_it = (
        f"import tests.models.test_download as t; t.get({server.url('slow')!r}, t.Path('{target}'))"
    )
    other = subprocess.Popen([sys.executable, "-c", get_it])
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(get, server.url("slow"), target) for _ in range(4)]:
            done.result()
    assert other.wait() == 0
    assert server.requests == 1
    assert names(tmp_path) == ["weights.pth"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("problem", [NotImplementedError(), OSError(errno.ENOLCK, "no locks")])
def test_without_locks_each_writes_a_file_of_its_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def no_locks(*_: object) -> None:
        raise problem

    monkeypatch.setattr("filelock.FileLock.acquire", no_locks)
    theirs = tmp_path / "weights.part.pth"
    theirs.write_bytes(b"theirs")
    get(server.url("cut"), tmp_path / "weights.pth")
    assert theirs.read_bytes() == b"theirs"
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT
    assert names(tmp_path) == ["weights.part.pth", "weights.pth"]


@pytest.mark.parametrize("fault", ["whole", "no-length"])
def test_too_long(server: Server, tmp_path: Path, fault: str) -> None:
    with pytest.raises(DownloadError, match="expected at most 299999 bytes"):
        get(server.url(fault), tmp_path / "weights.pth", max_bytes=len(CONTENT) - 1)
    assert names(tmp_path) == []


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/weights.pth"
        with pytest.raises(UnreachableError, match=r"expected a connection, found .*refused"):
            get(url, tmp_path / "weights.pth")
    assert names(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example/x", "data:,x", "x.pth", ""])
def test_other_schemes_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="expected an http or https address"):
        get(url, tmp_path / "weights.pth")


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="expected to write the download here"):
        get(server.url("whole"), tmp_path / "file/weights.pth")


def test_progress_is_silent_in_a_pipe_and_shown_on_request(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get(server.url("weights.pth"), tmp_path / "a")
    assert capsys.readouterr().err == ""
    download(server.url("weights.pth"), tmp_path / "b", verify=verify, progress=True)
    shown = capsys.readouterr()
    assert "weights.pth: 100%" in shown.err
    assert "293k/293k" in shown.err
    assert shown.out == ""
