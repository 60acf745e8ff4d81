"""Frames that decoding wrote as an array are what encoding reads."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.latents import open_latents
from video import InputError, VideoWriter, open_reader
from video.array_reader import ArrayReader

NANO = ("--model", "nano", "--backend", "torch")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 15, 21, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_what_is_decoded_can_be_encoded(tmp_path: Path, suffix: str, count: int) -> None:
    latents = tmp_path / "z.safetensors"
    frames = np.random.default_rng(0).integers(0, 256, (count, 15, 21, 3), np.uint8)
    with VideoWriter(tmp_path / "v.mkv", width=21, height=15, rate=30, codec="ffv1") as writer:
        for frame in frames:
            writer.write(frame)
    assert main(["encode", str(tmp_path / "v.mkv"), str(latents), *NANO]) == 0
    array = tmp_path / f"frames{suffix}"
    assert main(["decode", str(latents), str(array), *NANO]) == 0
    again = tmp_path / "again.safetensors"
    assert main(["encode", str(array), str(again), *NANO]) == 0

    if suffix == ".npy":
        images = torch.from_numpy(np.load(array)).permute(0, 3, 1, 2)
    else:
        with safe_open(array, "pt") as file:
            images = file.get_tensor("images")
            assert file.metadata() == {"frames_per_second": "30"}
    assert images.shape == (count, 3, 15, 21)
    expected = ts.load("nano", device="cpu", backend="torch").encode(images.float() / 255)
    with open_latents(again) as source:
        torch.testing.assert_close(source[:], expected)
        assert source.metadata.size == (15, 21)
        rate = Fraction(30) if suffix == ".safetensors" else None
        assert source.metadata.frames_per_second == rate


def test_a_range_of_frames_is_read(tmp_path: Path, pixels: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", pixels)
    command = ["encode", str(tmp_path / "a.npy"), str(tmp_path / "z.npy"), "--frames", "1:3"]
    assert main([*command, *NANO]) == 0
    assert np.load(tmp_path / "z.npy").shape == (2, 4, 2, 3)


def test_frames_are_those_of_the_file(tmp_path: Path, pixels: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", pixels)
    planar = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    save_file({"images": planar, "other": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    for name in ("a.npy", "a.safetensors"):
        with open_reader(tmp_path / name) as reader:
            assert (reader.frame_count, reader.width, reader.height) == (3, 21, 15)
            assert not reader.knows_rate
            assert all(np.array_equal(frame.image, pixels[frame.index]) for frame in reader)


def _safetensors(header: object) -> bytes:
    content = json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + bytes(64)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.safetensors", b"", "broken header"),
        ("a.safetensors", b"\xff" * 64, "broken header"),
        ("a.safetensors", _safetensors([]), "broken header"),
        ("a.safetensors", _safetensors({}), "no array"),
        ("a.safetensors", _safetensors({"images": 3}), "broken header"),
        (
            "a.safetensors",
            _safetensors({"latents": {"dtype": "F32", "shape": [1, 4, 2, 2]}}),
            "'latents': F32",
        ),
        (
            "a.safetensors",
            _safetensors({"images": {"dtype": "U8", "shape": [1, 3, 9, 9]}}),
            "offset None",
        ),
        (
            "a.safetensors",
            _safetensors(
                {"images": {"dtype": "U8", "shape": [9, 3, 9, 9], "data_offsets": [0, 9]}}
            ),
            "cut short",
        ),
        (
            "a.safetensors",
            _safetensors({"images": {"dtype": "U8", "shape": [1, 3, 9, 9], "data_offsets": 5}}),
            "offset None",
        ),
        ("a.npy", b"nothing", "broken one"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=found):
        ArrayReader(tmp_path / name, 24)


@pytest.mark.parametrize("shape", [(2, 4, 8, 8), (0, 8, 8, 3), (2, 8, 8, 2)])
def test_other_arrays_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=r"expected frames as uint8 \(T, H, W, 3 or 4\)"):
        ArrayReader(tmp_path / "a.npy", 24)
