"""What is said of addresses without the extra that reaches them; more is in tests/remote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import taesd_stream as ts
from taesd_stream.cli.main import main

Z = torch.zeros(1, 4, 4, 6)


@pytest.mark.parametrize(
    ("address", "library"),
    [
        ("s3://films/a", "s3fs"),
        ("gs://films/a", "gcsfs"),
        ("https://example.org/a", "aiohttp"),
    ],
)
def test_the_extra_is_named(
    address: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    words = rf"{address}.*: .*fsspec and {library}, .*; pip install 'taesd-stream\[remote\]'"
    with pytest.raises(ts.MissingExtraError, match=words):
        ts.open_latents(address)
    with pytest.raises(ts.MissingExtraError, match=words):
        ts.encode_file(address, tmp_path / "z.npy", model="nano")
    with pytest.raises(ts.MissingExtraError, match=words):
        ts.render(Z, tmp_path / "a.mp4", model="nano", audio=address)
    if library != "aiohttp":
        with pytest.raises(ts.MissingExtraError, match=words):
            ts.render(Z, f"{address}.mp4", model="nano")
        with pytest.raises(ts.MissingExtraError, match=words):
            ts.encode_file(tmp_path / "a.mp4", f"{address}.npy", model="nano")
    assert list(tmp_path.iterdir()) == []


def test_a_web_server_is_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ts.InputError, match="https:// can only be read; give another place"):
        ts.render(Z, "https://example.org/a.mp4")
    assert main(["demo", "http://example.org/a.mp4"]) == 2
    assert "http:// can only be read" in capsys.readouterr().err


def test_what_only_looks_like_an_address_is_a_path(tmp_path: Path) -> None:
    for name in ("s3:z.mkv", "s3-z.mkv", "C:z.mkv"):
        done = ts.render(Z, tmp_path / name, model="latent2rgb")
        assert done.path == tmp_path / name
    with pytest.raises(ts.LatentsError, match=r"ftp://example.org/z.pt: .* found ftp://: copy"):
        ts.open_latents("ftp://example.org/z.pt")


def test_nothing_for_addresses_is_loaded_without_one(tmp_path: Path) -> None:
    code = f"""
import sys, torch
before = set(sys.modules)
import taesd_stream as ts
ts.render(torch.zeros(1, 4, 4, 6), {str(tmp_path / "a.mkv")!r}, model="latent2rgb")
new = set(sys.modules) - before
assert not new & {{"fsspec", "s3fs", "gcsfs", "aiohttp", "zarr"}}, new
"""
    subprocess.run([sys.executable, "-c", code], check=True)
