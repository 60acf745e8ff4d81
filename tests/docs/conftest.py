"""The files that examples speak of, small and meaningless, and weights without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.models.weights.official import OfficialFile, official_files
from tests.docs.example_files import (
    both_halves,
    weights,
    write_generators_latents,
    write_latents,
    write_pictures,
)

_OFFICIAL = (
    "taesd",
    "taesdxl",
    "taesd3",
    "taef1",
    "taef2",
    "taesana",
    "taesdv",
    "taehv",
    "taew2_1",
)
_OFFICIAL += ("taew2_2", "taehv1_5", "taecvx", "taem1", "taeltx_2", "taeh3")


@pytest.fixture(scope="session")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that README and docs read by name."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("weights", "tiles", "in", "cache", "ComfyUI", "ComfyUI/custom_nodes"):
        (folder / name).mkdir()
    write_latents(folder)
    write_generators_latents(folder)
    write_pictures(folder)
    for half in ("encoder", "decoder"):
        torch.save(weights("taef2", half), folder / "weights" / f"taef2_{half}.pth")
    save_file(both_halves("taew2_1"), folder / "weights" / "taew2_1.safetensors")
    ts.export("nano", folder / "decoder.onnx")
    return folder


@pytest.fixture(scope="module")
def _official_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Weights of the official shapes, in a cache that is taken for whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAESD_STREAM_CACHE", str(tmp_path_factory.mktemp("official")))
        patch.setattr(OfficialFile, "problem_with", lambda *_: None)
        for name in _OFFICIAL:
            for file in official_files(name):
                path = file.cache_path()
                path.parent.mkdir(parents=True, exist_ok=True)
                halves = both_halves(name) if file.role == "both" else weights(name, file.role)
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
