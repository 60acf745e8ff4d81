"""Files that are exported: what they keep, and what is refused."""

from __future__ import annotations

import json
from importlib import util
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import pytest

import taesd_stream as ts
from taesd_stream.cli.main import main


def test_metadata_and_bytes_are_of_the_model_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    made = ts.export("nano", one)
    ts.export(ts.load("nano", device="cpu"), other)
    assert one.read_bytes() == other.read_bytes()
    assert str(tmp_path).encode() not in one.read_bytes()
    kept = {each.key: each.value for each in onnx.load(one).metadata_props}
    assert kept == made.facts
    assert kept == {
        "model": "nano",
        "half": "decoder",
        "convention": "model",
        "halo": "13",
        "scale": "8",
        "channels": "4",
        "image_channels": "3",
        "dtype": "float32",
        "taesd_stream": version("taesd-stream"),
    }
    assert made.size == one.stat().st_size
    assert sorted(tmp_path.iterdir()) == [one, other]


def test_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_text("mine")
    with pytest.raises(ts.OutputExistsError, match="--overwrite"):
        ts.export("nano", path)
    assert path.read_text() == "mine"
    ts.export("nano", path, overwrite=True)
    assert onnx.load(path).producer_name == "taesd-stream"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("a.pt", {}, "output: expected a name that ends in .onnx, found"),
        ("a.onnx", {"half": "both"}, "half: expected decoder or encoder, found 'both'"),
        (
            "a.onnx",
            {"dtype": "float64"},
            "dtype: expected float32, float16 or int8, found 'float64'",
        ),
        ("a.onnx", {"static": (100, 64)}, "multiples of 8 pixels.*found 100x64; give 104x64"),
        ("a.onnx", {"static": 64}, "static: expected \\(width, height\\) in pixels, found 64"),
        ("a.onnx", {"static": (0, 8)}, "static: expected \\(width, height\\) in pixels, found"),
        ("none/a.onnx", {}, "there is no folder"),
    ],
)
def test_what_is_refused(name: str, options: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match=told):
        ts.export("nano", tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_half_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match="latent2rgb has no encoder"):
        ts.export("latent2rgb", tmp_path / "a.onnx", half="encoder")


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.exporting.export.find_spec", lambda name: None)
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[onnx\]'"):
        ts.export("nano", tmp_path / "a.onnx")
    assert util.find_spec("onnx") is not None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.onnx"
    assert main(["export", str(path), "--model", "nano", "--static", "64x32", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [str(path)]
    assert told["inputs"] == {"latents": [1, 4, 4, 8]}
    assert told["outputs"] == {"images": [1, 3, 32, 64]}
    assert main(["export", str(path), "--model", "nano"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(path), "--model", "nano", "--half", "encoder", "-y"]) == 0
    told = capsys.readouterr().out
    assert "encoder of nano, float32" in told
    assert "images (batch, 3, height, width) -> latents (batch, 4, ceil(height/8)" in told


def test_weights_that_16_bits_do_not_hold_are_refused(tmp_path: Path) -> None:
    state = ts.load("nano", device="cpu").decoder_module().checkpoint()
    state["decoder.0.weight"] = state["decoder.0.weight"] * 1e8
    with pytest.raises(ts.InputError, match=r"dtype: expected weights of up to 65504.*float32"):
        ts.export(state, tmp_path / "decoder.onnx", dtype="float16")
    assert not list(tmp_path.iterdir())
