"""The files that examples speak of, small and meaningless, and weights without a network."""

from __future__ import annotations

import math
import shutil
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from taesd_stream.models import Network, variant_named
from taesd_stream.models.weights.official import OfficialFile, official_files
from video import open_writer, write_image

_OFFICIAL = ("taesd", "taef1", "taew2_1")
_SIZE = (2, 2)


@pytest.fixture(scope="session")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that README and docs read by name."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("weights", "tiles", "in", "cache"):
        (folder / name).mkdir()
    _write_latents(folder)
    _write_pictures(folder)
    for half in ("encoder", "decoder"):
        torch.save(_weights("taef2", half), folder / "weights" / f"taef2_{half}.pth")
    save_file(_both_halves("taew2_1"), folder / "weights" / "taew2_1.safetensors")
    return folder


@pytest.fixture(scope="session")
def _official_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Weights of the official shapes, in a cache that is taken for whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAESD_STREAM_CACHE", str(tmp_path_factory.mktemp("official")))
        patch.setattr(OfficialFile, "problem_with", lambda *_: None)
        for name in _OFFICIAL:
            for file in official_files(name):
                path = file.cache_path()
                path.parent.mkdir(parents=True, exist_ok=True)
                halves = _both_halves(name) if file.role == "both" else _weights(name, file.role)
                save = save_file if path.suffix == ".safetensors" else torch.save
                save(halves, path)
        yield


@pytest.fixture
def workplace(
    _files: Path, _official_weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The current folder, with a copy of these files."""
    shutil.copytree(_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def latents(*shape: int) -> Tensor:
    """Latents in slow motion, all numbers different: (..., T, C, h, w) or (C, h, w)."""
    count = math.prod(shape)
    return torch.sin(torch.arange(count).reshape(shape) * 0.37)


def _write_latents(folder: Path) -> None:
    torch.save(latents(20, 4, *_SIZE), folder / "frames.pt")
    torch.save(latents(16, 16, *_SIZE), folder / "wan.pth")
    for name, shape in {
        "frames": (5, 32, *_SIZE),
        "frames_16": (3, 16, *_SIZE),
        "clips": (2, 4, 4, *_SIZE),
    }.items():
        save_file({"latents": latents(*shape)}, folder / f"{name}.safetensors")
    for name in ("huge", "panorama"):
        np.save(folder / f"{name}.npy", latents(4, 10, 12).numpy())
    for row in range(2):
        for column in range(2):
            np.save(folder / "tiles" / f"{row}_{column}.npy", latents(4, 3, 4).numpy())


def _write_pictures(folder: Path) -> None:
    rate, seconds = 8000, 1
    with wave.open(str(folder / "tone.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\0" * rate * seconds)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    with open_writer(
        folder / "in.mp4", width=64, height=48, rate=24, audio=folder / "tone.wav"
    ) as video:
        for number, picture in enumerate(pictures):
            video.write(picture)
            write_image(folder / "in" / f"{number:05d}.png", picture)


def _weights(name: str, half: str) -> dict[str, Tensor]:
    variant = variant_named(name)
    make = variant.encoder if half == "encoder" else variant.decoder
    assert make is not None
    network: Network = make()
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(shape, generator=generator) / 30 for key, shape in network.shapes().items()
    }


def _both_halves(name: str) -> dict[str, Tensor]:
    return {
        f"{half}.{key}": tensor
        for half in ("encoder", "decoder")
        for key, tensor in _weights(name, half).items()
    }
