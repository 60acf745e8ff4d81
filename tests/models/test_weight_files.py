"""Files of weights: damaged, foreign and hostile ones are refused in one line."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.weight_files import MAX_CHECKPOINT_BYTES, read_weight_file

STATE = {"1.weight": torch.rand(64, 4, 3, 3), "19.weight": torch.rand(3, 64, 3, 3)}


def save(path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path)
    return path


@pytest.mark.parametrize("name", ["x.pth", "x.bin", "x"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_format_is_told_by_the_content(tmp_path: Path, name: str, suffix: str) -> None:
    path = save(tmp_path / f"source{suffix}").rename(tmp_path / name)
    found = read_weight_file(path)
    assert set(found) == set(STATE)
    for key, expected in STATE.items():
        tensor = found[key]
        assert isinstance(tensor, torch.Tensor)
        assert torch.equal(tensor, expected)


class RunsCode:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("it-ran",))


def test_a_pickle_that_would_run_code_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("evil.pth", "evil.bin"):
        torch.save({"1.weight": RunsCode()}, tmp_path / name)
        with pytest.raises(CheckpointError, match=r"asks for posix\.mkdir, and it was not run"):
            read_weight_file(tmp_path / name)
    assert not (tmp_path / "it-ran").exists()


def test_a_bare_pickle_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(RunsCode()))
    with pytest.raises(CheckpointError, match="a bare pickle, and it was not opened"):
        read_weight_file(path)
    assert not (tmp_path / "it-ran").exists()


def test_a_whole_module_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(3, 3, 1), tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"save the model's state_dict\(\) instead"):
        read_weight_file(tmp_path / "module.pth")


def test_an_archive_under_the_other_formats_name(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth").rename(tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"rename it to end in \.pth"):
        read_weight_file(path)


def write_foreign(path: Path, kind: str) -> None:
    whole = save(path.with_name(f"whole{path.suffix}")).read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "text":
        path.write_text("<!DOCTYPE html><html>Not found</html>")
    elif kind == "npz":
        with path.open("wb") as stream:
            np.savez(stream, latents=np.zeros(3))
    elif kind == "compressed":
        source = save(path.with_name("source.pth"))
        with (
            zipfile.ZipFile(source) as stored,
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for entry in stored.namelist():
                packed.writestr(entry, stored.read(entry))
    elif kind == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.zeros((4, 8, 8)))
    elif kind == "tensor":
        torch.save([torch.zeros(4, 8, 8)], path)
    elif kind == "text pickle":
        torch.save("hello", path)
    elif kind == "header":
        path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    elif kind == "sizes":
        header = {"1.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64)
    elif kind == "too large":
        with path.open("wb") as stream:
            stream.truncate(MAX_CHECKPOINT_BYTES + 1)


@pytest.mark.parametrize(
    ("kind", "suffix", "message"),
    [
        ("empty", ".pth", "found an empty file"),
        ("empty", ".safetensors", "found an empty file"),
        ("truncated", ".pth", "whole torch.save archive, found a broken one"),
        ("truncated", ".safetensors", "whole safetensors file, found a broken one"),
        ("text", ".pth", "a web page"),
        ("text", ".safetensors", "a web page"),
        ("npz", ".pth", "another kind of zip.*latents.npy"),
        ("compressed", ".pth", "found the compressed entry"),
        ("npy", ".pth", "looks like a latents file"),
        ("tensor", ".pt", r"tensor of shape \[4, 8, 8\], which looks like a latents file"),
        ("text pickle", ".pth", "found a str"),
        ("header", ".safetensors", f"claims {2**60}"),
        ("sizes", ".safetensors", "found a broken one"),
        ("too large", ".safetensors", f"found {MAX_CHECKPOINT_BYTES + 1}"),
    ],
)
def test_refused_files(tmp_path: Path, kind: str, suffix: str, message: str) -> None:
    path = tmp_path / f"given{suffix}"
    write_foreign(path, kind)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_weight_file(path)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert "\n" not in str(caught.value)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_weight_file(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_weight_file(Path("nul\0name"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="no regular file"):
        read_weight_file(tmp_path / "pipe")
