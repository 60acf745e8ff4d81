"""Weights from a hub: a small server on this machine that speaks as the real one does."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from safetensors.torch import save

from taesd_stream.errors import DownloadError, MissingExtraError, ModelNotFoundError
from taesd_stream.models import VARIANTS
from taesd_stream.models.weights import hub as hub_module
from taesd_stream.models.weights.checkpoint import read_checkpoint
from taesd_stream.models.weights.hub import fetch_from_hub, is_hub_name
from taesd_stream.models.weights.pinned import PINNED, PinnedFile
from taesd_stream.models.weights.weight_files import DIFFUSERS_WEIGHTS

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = json.dumps({"_class_name": "AutoencoderTiny"}).encode()
WEIGHTS = save(
    {
        "encoder.layers.0.weight": torch.ones(64, 3, 3, 3),
        "decoder.layers.0.weight": torch.ones(64, 4, 3, 3),
    }
)
DECODER = save({"1.weight": torch.ones(64, 4, 3, 3), "19.weight": torch.ones(3, 64, 3, 3)})
ENCODER = save({"0.weight": torch.ones(64, 3, 3, 3)})
FULL = "diffusion_pytorch_model.safetensors"
HALF = "diffusion_pytorch_model.fp16.safetensors"
OLD = "diffusion_pytorch_model.bin"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = "/".join(path.removeprefix("/api/models").split("/")[1:3])
        files = self.server.repositories.get(name)
        if self.server.fault:
            self.answer(500, b"")
        elif files is None:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/models/"):
            self.answer_api(path, name, files)
        else:
            self.answer_file(path, name, files)

    def answer_api(self, path: str, name: str, files: dict[str, bytes]) -> None:
        if "/tree/" in path:
            listed: object = [
                {"type": "file", "path": p, "size": self.server.size(p, d), "oid": blob_id(d)}
                for p, d in files.items()
            ]
        elif "/revision/" in path and path.rpartition("/")[2] not in ("main", COMMIT):
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return
        else:
            siblings = [
                {"rfilename": p, "size": self.server.size(p, d), "blobId": blob_id(d)}
                for p, d in files.items()
            ]
            info: dict[str, object] = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": []}
            listed = info | {"private": False, "downloads": 0, "likes": 0}
        self.answer(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})

    def answer_file(self, path: str, name: str, files: dict[str, bytes]) -> None:
        file = path.split("/resolve/")[1].partition("/")[2]
        if self.server.gated:
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
            return
        if self.command == "GET":
            self.server.downloaded.append(file)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{blob_id(files[file])}"'}
        self.answer(200, files[file], headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class FakeHub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.claimed_bytes: dict[str, int] = {}
        self.downloaded: list[str] = []
        self.gated = False
        self.fault = False

    def size(self, path: str, data: bytes) -> int:
        return self.claimed_bytes.get(path, len(data))


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def forget_client() -> None:
    """Unload the hub's client, which reads its environment only when it is imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]


def point_client_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    forget_client()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    loaded_before = {key: module for key, module in sys.modules.items() if "huggingface" in key}
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    for variable in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    with FakeHub() as running:
        point_client_at(f"http://127.0.0.1:{running.server_address[1]}", monkeypatch)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
    forget_client()
    sys.modules.update(loaded_before)


def test_names() -> None:
    assert is_hub_name("madebyollin/taesd-x_4.1")
    assert not any(map(is_hub_name, ("taesd", "a/b/c", "/a", "a/", "C:\\a/b", "a b/c", "")))


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ([FULL, HALF, OLD, "taesd_decoder.safetensors"], ["config.json", FULL]),
        ([HALF, OLD], ["config.json", HALF]),
        ([OLD, "x.pth", "notes.txt"], ["config.json", OLD]),
        (["taesd_decoder.safetensors", "taesd_decoder.pth"], ["taesd_decoder.safetensors"]),
        (["taesd_decoder.pth", "taesd_encoder.pth"], ["taesd_decoder.pth", "taesd_encoder.pth"]),
        (
            ["unet/x.safetensors", f"vae/{FULL}", "vae/config.json"],
            ["vae/config.json", f"vae/{FULL}"],
        ),
    ],
)
def test_only_one_form_of_the_weights_is_downloaded(
    hub: FakeHub, files: list[str], wanted: list[str]
) -> None:
    # Unlike contents: of equal ones the client downloads only the first.
    names = ["config.json", "README.md", *files]
    hub.repositories["somebody/tiny"] = {name: f"content of {name}".encode() for name in names}
    folder = fetch_from_hub("somebody/tiny")
    assert sorted(hub.downloaded) == wanted
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*")) == wanted


def test_a_diffusers_repository_becomes_a_checkpoint(hub: FakeHub) -> None:
    hub.repositories["somebody/tiny"] = {"config.json": CONFIG, FULL: WEIGHTS}
    checkpoint = read_checkpoint(fetch_from_hub("somebody/tiny"))
    assert list(checkpoint.decoder or {}) == ["1.weight"]
    assert list(checkpoint.encoder or {}) == ["0.weight"]


def test_official_files_find_each_other_in_the_cache(hub: FakeHub) -> None:
    hub.repositories["somebody/tiny"] = {
        "t_encoder.safetensors": ENCODER,
        "t_decoder.safetensors": DECODER,
    }
    checkpoint = read_checkpoint(fetch_from_hub("somebody/tiny", revision=COMMIT))
    assert checkpoint.encoder is not None
    assert checkpoint.decoder is not None


def test_cached_copy_is_used_offline(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories["somebody/tiny"] = {"config.json": CONFIG, FULL: WEIGHTS, OLD: WEIGHTS}
    folder = fetch_from_hub("somebody/tiny")
    assert fetch_from_hub("somebody/tiny") == folder
    assert sorted(hub.downloaded) == ["config.json", FULL]
    hub.fault = True
    assert fetch_from_hub("somebody/tiny") == folder
    point_client_at("http://127.0.0.1:9", monkeypatch)
    assert fetch_from_hub("somebody/tiny") == folder
    (folder / FULL).unlink()
    with pytest.raises(ModelNotFoundError, match="among its cached copy"):
        fetch_from_hub("somebody/tiny")


def test_offline_and_not_cached(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    point_client_at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(ModelNotFoundError, match=r"found neither .*local checkpoint") as caught:
        fetch_from_hub("somebody/tiny")
    assert "\n" not in str(caught.value)


def test_no_such_repository_or_revision(hub: FakeHub) -> None:
    with pytest.raises(ModelNotFoundError, match=r"somebody/else: expected a hub repository"):
        fetch_from_hub("somebody/else")
    hub.repositories["somebody/tiny"] = {FULL: WEIGHTS}
    with pytest.raises(ModelNotFoundError, match="found no branch, tag or commit 'v9'"):
        fetch_from_hub("somebody/tiny", revision="v9")
    with pytest.raises(ModelNotFoundError, match=r"'owner/name', found '\.\./x/y'"):
        fetch_from_hub("../x/y")


def test_gated_repository(hub: FakeHub) -> None:
    hub.repositories["somebody/tiny"] = {"config.json": CONFIG, FULL: WEIGHTS}
    hub.gated = True
    with pytest.raises(ModelNotFoundError, match="whose owner grants access"):
        fetch_from_hub("somebody/tiny")


def test_repository_without_weights(hub: FakeHub) -> None:
    hub.repositories["somebody/text"] = {"README.md": b"text", "config.json": CONFIG}
    with pytest.raises(ModelNotFoundError, match="among its files, found none"):
        fetch_from_hub("somebody/text")


def test_repository_of_large_weights_is_refused_before_loading(hub: FakeHub) -> None:
    hub.repositories["somebody/large"] = {"v1-5.safetensors": WEIGHTS}
    hub.claimed_bytes["v1-5.safetensors"] = 7 * 2**30
    with pytest.raises(DownloadError, match=r"found 7516192768 bytes in v1-5\.safetensors"):
        fetch_from_hub("somebody/large")
    assert hub.downloaded == []


def test_a_full_vae_is_taken_at_its_revision_and_verified(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "somebody/vae"
    right = PinnedFile(COMMIT, f"vae/{FULL}", hashlib.sha256(WEIGHTS).hexdigest())
    hub.repositories[name] = {f"vae/{FULL}": WEIGHTS, "vae/config.json": CONFIG}
    monkeypatch.setitem(hub_module.PINNED, name, right)
    assert fetch_from_hub(name).name == COMMIT
    monkeypatch.setitem(hub_module.PINNED, name, replace(right, sha256="0" * 64))
    with pytest.raises(DownloadError, match=r"expected sha256 0+, found \w+; .* not what was pub"):
        fetch_from_hub(name)
    assert fetch_from_hub(name, revision="main").name == COMMIT
    monkeypatch.setitem(hub_module.PINNED, name, replace(right, revision="v9"))
    with pytest.raises(ModelNotFoundError, match=rf"no branch.* 'v9'.* vae/{FULL} at revision v9"):
        fetch_from_hub(name)


def test_every_full_vae_has_a_revision_and_a_checksum() -> None:
    hubs = {each.hub for each in VARIANTS if each.is_fine}
    # Nobody published a revision of it with its checksum.
    assert hubs - set(PINNED) == {"stabilityai/stable-video-diffusion-img2vid"}
    unchecked = [name for name, each in PINNED.items() if each.sha256 is None]
    assert unchecked == ["openai/consistency-decoder"]  # nobody published its checksum
    for each in PINNED.values():
        assert len(bytes.fromhex(each.revision)) == 20
        assert each.sha256 is None or len(bytes.fromhex(each.sha256)) == 32
        assert each.path in DIFFUSERS_WEIGHTS


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'taesd-stream\[hub\]'"):
        fetch_from_hub("somebody/tiny")
