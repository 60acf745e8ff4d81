"""Google's store, by an emulator on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

import taesd_stream as ts

pytestmark = pytest.mark.filterwarnings(  # sessions that libraries leave to the end
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

Z = torch.randn(60, 4, 32, 32, generator=torch.Generator().manual_seed(0))
OPTIONS: dict[str, Any] = {"model": "latent2rgb", "device": "cpu", "backend": "torch"}


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """The file system of fsspec, with an empty bucket "films"."""
    why = "needs an emulator: pip install 'taesd-stream[remote,remote-test]'"
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason=why)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="films")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # which no emulator has
        gcsfs = import_module("gcsfs")
        try:
            yield gcsfs.GCSFileSystem(use_listings_cache=False)
        finally:
            gcsfs.GCSFileSystem.clear_instance_cache()
            server.stop()


@pytest.mark.parametrize("name", ["z.npy", "z.pt", "z.zarr"])
def test_latents(store: Any, tmp_path: Path, name: str) -> None:
    save = {".npy": _save_npy, ".pt": _save_torch, ".zarr": _save_zarr}[os.path.splitext(name)[1]]
    save(tmp_path / name)
    store.put(str(tmp_path / name), f"films/{name}", recursive=name == "z.zarr")
    with ts.open_latents(f"gs://films/{name}", layout="TCHW") as source:
        assert torch.equal(source[20:50], Z[20:50])


def _save_npy(path: Path) -> None:
    np.save(path, Z.numpy())


def _save_torch(path: Path) -> None:
    torch.save(Z, path)


def _save_zarr(path: Path) -> None:
    zarr.save_array(path, Z.numpy())


def test_a_change_while_it_is_read(store: Any, tmp_path: Path) -> None:
    _save_npy(tmp_path / "z.npy")
    store.put_file(str(tmp_path / "z.npy"), "films/c.npy")
    with ts.open_latents("gs://films/c.npy", layout="TCHW") as source:
        np.save(tmp_path / "z.npy", -Z.numpy())
        store.put_file(str(tmp_path / "z.npy"), "films/c.npy")
        with pytest.raises(ts.LatentsError, match="changed while it was being read"):
            source[20:50]


@pytest.mark.parametrize("name", ["a.mkv", "a.ome.zarr", "a.dzi"])
def test_outputs(store: Any, tmp_path: Path, name: str) -> None:
    z = Z[:5] if name == "a.mkv" else Z[:1]
    for scheme, overwrite in (("gs", False), ("gcs", True)):
        ts.render(z, f"{scheme}://films/out/{name}", overwrite=overwrite, **OPTIONS)
    ts.render(z, tmp_path / name, **OPTIONS)
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    for each in files:
        found = store.cat_file(f"films/out/{each.relative_to(tmp_path).as_posix()}")
        assert found == each.read_bytes(), each
    with pytest.raises(ts.OutputExistsError, match=f"gs://films/out/{name}' exists already"):
        ts.render(z, f"gs://films/out/{name}", **OPTIONS)


def test_what_is_not_there(store: Any) -> None:
    for address in ("gs://films/none.pt", "gs://no-such-bucket/none.pt"):
        with pytest.raises(ts.LatentsError, match=f"{address}: .* found nothing there"):
            ts.open_latents(address)
    with pytest.raises(ts.InputError, match="gs://no-such-bucket: expected a place to write"):
        ts.render(Z, "gs://no-such-bucket/a.mkv", **OPTIONS)
