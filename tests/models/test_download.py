"""Downloads from a local server that behaves in every way servers misbehave."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

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
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        fault = self.path.strip("/")
        is_first = len(self.server.ranges) == 1
        if fault.startswith("status-"):
            _, status, repeats = fault.split("-")
            if len(self.server.ranges) <= int(repeats):
                self.send_status(int(status))
                return
        if fault == "redirect-file":
            self.send_status(302, Location="file:///etc/hostname")
            return
        if fault == "redirect":
            self.send_status(302, Location="/whole")
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if fault == "no-ranges":
            start = 0
        if fault == "416" and start:
            self.send_status(416, **{"Content-Range": f"bytes */{len(CONTENT)}"})
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        if start:
            told = start - 7 if fault == "wrong-range" else start
            self.send_header("Content-Range", f"bytes {told}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if fault != "no-length":
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if fault == "flipped":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "cut-always":
            body = body[:1000]
        if is_first and fault in ("cut", "interrupt", "wrong-range", "no-ranges", "416"):
            body = body[:HALF]
        self.wfile.write(body)
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
        self.ranges: list[str | None] = []
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
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("fault", "ranges"),
    [
        ("whole", [None]),
        ("no-length", [None]),
        ("redirect", [None, None]),
        ("cut", [None, f"bytes={HALF}-"]),
        ("no-ranges", [None, f"bytes={HALF}-"]),
        ("wrong-range", [None, f"bytes={HALF}-", None]),
        ("status-503-2", [None, None, None]),
        ("status-429-1", [None, None]),
    ],
)
def test_the_file_arrives_in_the_end(
    server: Server, tmp_path: Path, fault: str, ranges: list[str | None]
) -> None:
    target = tmp_path / "new/folder/weights.pth"
    get(server.url(fault), target)
    assert target.read_bytes() == CONTENT
    assert server.ranges == ranges
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
    ],
)
def test_what_does_not_arrive_leaves_nothing(
    server: Server, tmp_path: Path, fault: str, message: str, requests: int
) -> None:
    with pytest.raises(DownloadError, match=message) as caught:
        get(server.url(fault), tmp_path / "weights.pth")
    assert "\n" not in str(caught.value)
    assert len(server.ranges) == requests
    assert names(tmp_path) == []


def test_a_connection_cut_again_and_again_keeps_what_came(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    with pytest.raises(DownloadError, match="cut at 4000 of 300000 bytes at attempt 4 of 4"):
        get(server.url("cut-always"), target)
    assert names(tmp_path) == ["weights.pth.part"]
    assert (tmp_path / "weights.pth.part").read_bytes() == CONTENT[:4000]
    get(server.url("whole"), target)
    assert server.ranges[-1] == "bytes=4000-"
    assert target.read_bytes() == CONTENT


def test_a_whole_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    get(server.url("416"), tmp_path / "weights.pth")
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT + b"more")
    get(server.url("416"), tmp_path / "weights.pth")
    assert server.ranges == [f"bytes={len(CONTENT) + 4}-", None]
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_a_part_of_another_file_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(b"x" * 1000)
    get(server.url("whole"), tmp_path / "weights.pth")
    assert server.ranges == ["bytes=1000-", None]
    assert names(tmp_path) == ["weights.pth"]


def test_an_interrupt_keeps_the_part_for_resuming(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    part = tmp_path / "weights.pth.part"

    def interrupt_once_some_is_written() -> None:
        while part.stat().st_size < HALF // 2:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    server.when_interrupting = interrupt_once_some_is_written
    with pytest.raises(KeyboardInterrupt):
        get(server.url("interrupt"), target)
    assert names(tmp_path) == ["weights.pth.part"]
    kept = part.read_bytes()
    assert CONTENT.startswith(kept)
    get(server.url("interrupt"), target)
    assert server.ranges == [None, f"bytes={len(kept)}-"]
    assert target.read_bytes() == CONTENT


def test_two_at_once_do_not_mix(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    failures: list[BaseException] = []

    def one() -> None:
        try:
            get(server.url("cut"), target)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names(tmp_path) == ["weights.pth"]
    assert target.read_bytes() == CONTENT


def test_a_part_that_another_process_writes_is_left_alone(server: Server, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    part = tmp_path / "weights.pth.part"
    with part.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write(b"theirs")
        held.flush()
        get(server.url("cut"), tmp_path / "weights.pth")
        assert part.read_bytes() == b"theirs"
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT
    assert names(tmp_path) == ["weights.pth", "weights.pth.part"]


def test_the_lock_is_on_the_part_itself(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its former holder renamed it to the final name just before it was locked."""
    fcntl = pytest.importorskip("fcntl")
    flock = fcntl.flock
    target, part = tmp_path / "weights.pth", tmp_path / "weights.pth.part"

    def flock_after_a_rename(stream: IO[bytes], operation: int) -> None:
        if not target.exists():
            part.rename(target)
        flock(stream, operation)

    def verify_under_lock(path: Path) -> str | None:
        with path.open("rb") as other, pytest.raises(BlockingIOError):
            flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return verify(path)

    monkeypatch.setattr(fcntl, "flock", flock_after_a_rename)
    download(server.url("whole"), target, verify=verify_under_lock)
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["weights.pth"]


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
