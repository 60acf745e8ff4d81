"""A store with S3's interface, and a web server, both on this machine."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import re
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

_WHY = "needs stores and a test server: pip install 'taesd-stream[remote,remote-test]'"
_numbers = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _sessions_end() -> Iterator[None]:
    """Needs the libraries; connections that they leave to the end of the process go here."""
    s3fs = pytest.importorskip("s3fs", reason=_WHY)
    pytest.importorskip("moto.server", reason=_WHY)
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for files in (
            s3fs.S3FileSystem,
            import_module("fsspec.implementations.http").HTTPFileSystem,
        ):
            files.clear_instance_cache()
        gc.collect()


class Bucket:
    """A bucket of the store, through fsspec.

    Attributes:
        fetched: How many bytes of files were asked for, one number for each request.
    """

    def __init__(self, files: Any, name: str, fetched: list[int]) -> None:
        self.files, self.name, self.fetched = files, name, fetched

    def address(self, path: str) -> str:
        return f"s3://{self.name}/{path}"

    def put(self, local: Path, path: str | None = None) -> str:
        """Upload a file or a folder; its address."""
        goal = f"{self.name}/{path or local.name}"
        self.files.put(str(local), goal, recursive=local.is_dir())
        return f"s3://{goal}"

    def read(self, path: str) -> bytes:
        return bytes(self.files.cat_file(f"{self.name}/{path}"))

    def names(self) -> list[str]:
        self.files.invalidate_cache()
        found = self.files.find(self.name)
        return sorted(each.removeprefix(f"{self.name}/") for each in found)


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The address of a server with S3's interface, by which the environment says where S3 is."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = import_module("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", "/nowhere")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        try:
            yield f"http://{host}:{port}"
        finally:
            import_module("s3fs").S3FileSystem.clear_instance_cache()
            server.stop()


@pytest.fixture
def bucket(store: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket."""
    s3fs = import_module("s3fs")
    fetched: list[int] = []
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "get_object":
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", kwargs.get("Range", ""))
            fetched.append(int(asked[2]) + 1 - int(asked[1]) if asked else 2**40)  # all of it
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    files = s3fs.S3FileSystem()
    name = f"films-{next(_numbers)}"
    files.mkdir(name)
    return Bucket(files, name, fetched)


class Web(ThreadingHTTPServer):
    """A web server of a folder.

    Attributes:
        knows_ranges: Whether it sends parts of files.
        sent: How many bytes of files it has sent, one number for each request.
        delay: The seconds that an answer takes.
        most_at_once: How many were answered at one time.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.knows_ranges, self.sent = folder, True, list[int]()
        self.delay, self.most_at_once, self._now = 0.0, 0, 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        time.sleep(self.delay)
        yield
        with self._lock:
            self._now -= 1

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        file = self.server.folder / self.path.lstrip("/").partition("?")[0]
        if file.name.startswith("secret"):
            return self.send_error(403)
        if not file.is_file():
            return self.send_error(404)
        status = file.stat()
        start, stop = 0, status.st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        in_part = asked is not None and self.server.knows_ranges
        if asked is not None and in_part:
            start, stop = int(asked[1]), min(int(asked[2]) + 1, stop)
        self.send_response(206 if in_part else 200)
        if in_part:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{status.st_size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{status.st_mtime_ns}-{status.st_size}"')
        self.end_headers()
        if self.command == "GET":
            self.server.sent.append(stop - start)
            with self.server.answering(), file.open("rb") as content:
                content.seek(start)
                left = stop - start
                while left:
                    left -= self.wfile.write(content.read(min(left, 2**20)))
        return None

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """A web server of the folder "web"."""
    (tmp_path / "web").mkdir()
    with Web(tmp_path / "web") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
