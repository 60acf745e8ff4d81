"""Latents that a cluster makes are those of one process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import taesd_stream as ts
from tests.engine.conftest import weights_of
from video import open_writer

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


def images(count: int, height: int = 36, width: int = 50) -> np.ndarray:
    random = np.random.default_rng(count)
    still = random.integers(0, 256, (height, width, 3), np.uint8)
    return np.stack([np.roll(still, 2 * number, 1) for number in range(count)])


def stored(folder: Path, name: str, count: int) -> Path:
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, images(count))
        return path
    with open_writer(path, width=50, height=36, rate=24) as writer:
        for image in images(count):
            writer.write(image)
    return path


def encoded(source: Path, out: Path, **options: Any) -> ts.Encoded:
    options = {"model": "nano", "device": "cpu", "backend": "torch", "dtype": "float32"} | options
    return ts.encode_file(source, out, **options)


@pytest.mark.parametrize(
    ("source", "model"), [("a.mkv", "nano"), ("a.mp4", "taehv"), ("pictures", "taehv")]
)
def test_frames(nodes: Any, tmp_path: Path, source: str, model: str) -> None:
    path = stored(tmp_path, source, 70)
    weights = tmp_path / "weights.safetensors"
    if model != "nano":
        save_file(weights_of(model), weights)
    options = {"frames": slice(3, None), "variant": model}
    options["model"] = "nano" if model == "nano" else weights
    done = encoded(path, tmp_path / "a.safetensors", cluster=nodes.address, resume=True, **options)
    again = encoded(path, tmp_path / "a.safetensors", cluster=nodes.address, resume=True, **options)
    alone = encoded(path, tmp_path / "b.safetensors", **options)
    assert (done.frames, done.latents) == (alone.frames, alone.latents)
    assert again.seconds == 0, "it is complete already"
    one, other = (load_file(tmp_path / f"{name}.safetensors")["latents"] for name in "ab")
    assert torch.equal(one, other)
    said = []
    for name in "ab":
        with safe_open(tmp_path / f"{name}.safetensors", "pt") as file:
            said.append(file.metadata())
    assert said[0] == said[1]
    assert not (tmp_path / "a.safetensors.resume").exists()


def test_one_large_picture(nodes: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images(1, 333, 97)[0])
    options = {"tile": 5, "convention": "vae"}
    encoded(tmp_path / "a.npy", tmp_path / "a.pt", cluster=nodes.address, **options)
    encoded(tmp_path / "a.npy", tmp_path / "b.pt", **options)
    one, other = (torch.load(tmp_path / f"{name}.pt")["latents"] for name in "ab")
    assert one.shape == (1, 4, 42, 13)
    assert torch.equal(one, other)


def test_the_command(nodes: Any, tmp_path: Path) -> None:
    path = stored(tmp_path, "a.mp4", 20)
    command = [
        *(sys.executable, "-m", "taesd_stream", "encode", str(path), f"{tmp_path}/z_%03d.png"),
        *("--model", "nano", "--device", "cpu", "--json", "--cluster", nodes.address),
    ]
    done = subprocess.run(command, check=True, capture_output=True)
    assert json.loads(done.stdout)["latents"] == 20
    assert len(list(tmp_path.glob("z_*.png"))) == 20


def test_what_is_kept_is_gone_on_with(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = stored(tmp_path, "pictures", 90), tmp_path / "z.npy"
    broken = path / "00070.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:60])
    with pytest.raises(ts.TaesdStreamError, match="00070") as caught:
        encoded(path, out, cluster=nodes.address)
    assert "are kept in" in caught.value.__notes__[-1]
    kept = len((tmp_path / "z.npy.resume" / "units.txt").read_text().split())
    assert kept >= 3
    with pytest.raises(ts.InputError, match="give --resume"):
        encoded(path, out, cluster=nodes.address)
    broken.write_bytes(whole)
    with pytest.raises(ts.InputError, match="images was"):
        encoded(path, out, cluster=nodes.address, resume=True)


def test_a_full_vae(nodes: Any, tmp_path: Path) -> None:
    """Its frames are encoded as their mean, or drawn; its large pictures on one machine."""
    pytest.importorskip("diffusers", reason="needs diffusers, to make such a VAE")
    from tests.engine.full_vaes import loaded, random_vae

    vae = loaded(random_vae())
    source, out = stored(tmp_path, "a.npy", 6), tmp_path / "a.safetensors"
    options: dict[str, Any] = {"model": vae, "cluster": nodes.address, "resume": True}
    ts.encode_file(source, out, **options)
    with pytest.raises(ts.OutputExistsError, match="exists already"):
        ts.encode_file(source, out, seed=0, **options)
    ts.encode_file(source, tmp_path / "b.safetensors", seed=0, **options)
    ts.encode_file(source, tmp_path / "c.safetensors", seed=0, model=vae)
    mean, drawn, alone = (load_file(tmp_path / f"{n}.safetensors")["latents"] for n in "abc")
    assert torch.equal(drawn, alone)
    assert not torch.equal(drawn, mean)
    np.save(tmp_path / "one.npy", images(1, 200, 64)[0])
    with pytest.raises(ts.InputError, match=r"goes over the whole picture .* encode it on one"):
        ts.encode_file(tmp_path / "one.npy", tmp_path / "d.npy", tile=4, **options)


def test_pictures_of_latents_that_are_there_already(nodes: Any, tmp_path: Path) -> None:
    path, out = stored(tmp_path, "a.npy", 20), tmp_path / "z_%03d.png"
    (tmp_path / "z_007.png").write_bytes(b"another's")
    for cluster in (nodes.address, None):
        with pytest.raises(ts.OutputExistsError, match=r"z_007\.png' exists already"):
            encoded(path, out, cluster=cluster)
    assert not (tmp_path / "z_%03d.png.resume").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster": None, "resume": True}, "resume: expected --cluster"),
        ({"cluster": "here"}, "expected auto, or an address such as"),
    ],
)
def test_what_cannot_be(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ts.InputError, match=words):
        encoded(stored(tmp_path, "a.npy", 2), tmp_path / "z.npy", **change)
