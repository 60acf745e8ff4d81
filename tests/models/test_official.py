"""The table of official files, and the cache that downloads them once."""

from __future__ import annotations

import logging
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taesd_stream.errors import DownloadError, ModelNotFoundError
from taesd_stream.models.variant_names import variant_named
from taesd_stream.models.weights.checkpoint import read_checkpoint
from taesd_stream.models.weights.official import (
    cache_folder,
    cached,
    fetch,
    git_blob_id,
    official_files,
    official_names,
)

NAMES = (
    *("taesd", "taesdxl", "taesd3", "taef1", "taef2", "taesana", "taesdv", "taehv"),
    *("taew2_1", "taew2_2", "taehv1_5", "taecvx", "taeos1_3", "taeltx_2", "taeltx2_3"),
    *("taeltx2_3_wide", "taeh3", "taehv1_5_super", "taew2_2_super", "taem1"),
)


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class Mirror(ThreadingHTTPServer):
    """Serves a folder in the layout of GitHub's raw files, and counts requests."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.folder = folder
        self.requests = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.requests += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def mirror(
    tmp_path: Path, cache: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mirror]:
    """A mirror of the real taef2 files, set as the place to download from."""
    folder = tmp_path / "mirror"
    for file in official_files("taef2"):
        published = folder / file.repository / file.commit / file.path
        published.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / "weights" / file.path, published)
        published.chmod(0o644)
    monkeypatch.setenv("no_proxy", "*")
    with Mirror(folder) as running:
        monkeypatch.setenv("TAESD_STREAM_MIRROR", running.url)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TAESD_STREAM_MIRROR", f"http://127.0.0.1:{taken.getsockname()[1]}")
        yield


def test_every_variant_is_in_the_table() -> None:
    assert sorted(official_names()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_records_are_complete(name: str) -> None:
    files = official_files(name)
    assert [file.role for file in files] in (["encoder", "decoder"], ["both"])
    for file in files:
        assert file.variant == name
        assert re.fullmatch(r"[0-9a-f]{40}", file.commit)
        assert re.fullmatch(r"[0-9a-f]{40}", file.git_blob)
        assert file.url("https://x/") == f"https://x/{file.repository}/{file.commit}/{file.path}"


def test_default_address() -> None:
    (file,) = official_files("taehv")
    assert file.url().startswith("https://raw.githubusercontent.com/madebyollin/taehv/1f14a568")
    assert file.url().endswith("/safetensors/taehv.safetensors")


def test_unknown_name() -> None:
    with pytest.raises(ModelNotFoundError, match="found 'taesdx'; try taesd"):
        official_files("taesdx")
    with pytest.raises(ModelNotFoundError, match=r"found 'q'; try taesd, .*taem1"):
        official_files("q")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\0" * 3_000_000])
def test_blob_id_is_gits(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    if shutil.which("git") is None:
        pytest.skip("git is not installed: nothing to compare with")
    command = ["git", "hash-object", "--no-filters", str(tmp_path / "file")]
    expected = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert git_blob_id(tmp_path / "file") == expected


@pytest.mark.parametrize(("name", "index"), [("taef2", 0), ("taef2", 1), ("taesana", 0)], ids=str)
def test_real_files_fit_the_table(shared: Path, name: str, index: int) -> None:
    file = official_files(name)[index]
    assert file.problem_with(shared / "weights" / file.path) is None


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("TAESD_STREAM_CACHE", "")
    assert cache_folder().name == "taesd-stream"


def test_downloaded_once_then_cached(mirror: Mirror, cache: Path, shared: Path) -> None:
    assert cached("taef2") is None
    paths = fetch("taef2")
    assert paths == [
        cache / file.repository / file.commit / file.path for file in official_files("taef2")
    ]
    for path in paths:
        assert path.read_bytes() == (shared / "weights" / path.name).read_bytes()
    assert mirror.requests == 2
    assert fetch("taef2") == paths
    assert cached("taef2") == paths
    assert mirror.requests == 2
    weights = [p.name for p in paths[0].parent.iterdir() if p.suffix != ".lock"]
    assert sorted(weights) == ["taef2_decoder.pth", "taef2_encoder.pth"]
    checkpoint = read_checkpoint(paths[-1])
    assert checkpoint.encoder is not None
    assert checkpoint.decoder is not None


def test_base_url_outranks_the_environment(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAESD_STREAM_MIRROR", "http://127.0.0.1:9")
    assert len(fetch("taef2", base_url=f"{mirror.url}/")) == 2


def test_a_damaged_cache_is_fetched_again_and_said(
    mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    path = fetch("taef2")[1]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"!")
    assert cached("taef2") is None
    with caplog.at_level(logging.WARNING, logger="taesd_stream"):
        assert fetch("taef2")[1].read_bytes() == content
    assert "taef2_decoder.pth: cached file no longer verifies" in caplog.text
    assert mirror.requests == 3


def test_a_flipped_bit_on_the_way_is_refused(mirror: Mirror, cache: Path) -> None:
    file = official_files("taef2")[1]
    published = mirror.folder / file.repository / file.commit / file.path
    content = bytearray(published.read_bytes())
    content[1000] ^= 1
    published.write_bytes(content)
    found = git_blob_id(published)
    with pytest.raises(DownloadError, match=f"expected git blob id {file.git_blob}, found {found}"):
        fetch("taef2")
    assert [path.name for path in cache.rglob("*.pth")] == ["taef2_encoder.pth"]


def test_not_on_the_mirror(mirror: Mirror) -> None:
    with pytest.raises(DownloadError, match="found HTTP status 404"):
        fetch("taesd")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "files", "choice"),
    [
        ("taesd", "taesd_encoder.pth and taesd_decoder.pth", "nano"),
        ("taesdxl", "taesdxl_encoder.pth and taesdxl_decoder.pth", None),
        ("taef1", "taef1_encoder.pth and taef1_decoder.pth", "latent2rgb_flux1"),
        ("taehv", "taehv.safetensors", None),
    ],
)
def test_offline_names_the_alternatives(
    cache: Path, name: str, files: str, choice: str | None
) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        fetch(name)
    message = str(caught.value)
    assert f"expected the weights of '{name}' in {cache}" in message
    assert f"get {files} from madebyollin/" in message
    assert "local path with --model (model= in Python)" in message
    assert "diffusers folder" in message
    assert ("without a network" in message) == (choice is not None)
    if choice is not None:
        assert message.endswith(f"the model {choice} comes with the package")
        variant = variant_named(choice)
        assert variant.built_in
        assert variant.space == variant_named(name).space
    assert "\n" not in message
    assert len(message) - len(str(cache)) < 290
    assert "http://" in caught.value.details[0]


@pytest.mark.usefixtures("offline")
def test_offline_uses_the_cache(shared: Path, cache: Path) -> None:
    for file in official_files("taef2"):
        file.cache_path().parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / "weights" / file.path, file.cache_path())
    assert fetch("taef2") == cached("taef2")
