"""Encoding a video, pictures or one picture into latents."""

from __future__ import annotations

import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import taesd_stream as ts
from video import open_writer, read_image, write_image


def _pictures(count: int, height: int = 16, width: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> np.ndarray:
    """Six frames of noise, which are also in noise.mkv."""
    frames = _pictures(6)
    with open_writer(tmp_path / "noise.mkv", width=24, height=16, lossless=True) as writer:
        for frame in frames:
            writer.write(frame)
    return frames


def _expected(frames: np.ndarray, weights: Path) -> torch.Tensor:
    return torch.stack(list(ts.load(weights, device="cpu").encode_stream(frames)))


@pytest.mark.parametrize(("words", "chosen"), [([], slice(6)), (["--frames", "2:4"], slice(2, 4))])
def test_a_video_into_one_file(
    command, random_taesd: Path, words: list[str], chosen: slice, request: pytest.FixtureRequest
) -> None:
    expected = _expected(request.getfixturevalue("video")[chosen], random_taesd)
    outcome = command("encode", "noise.mkv", "z.safetensors", "--model", random_taesd, *words)
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith(f"z.safetensors: {len(expected)} latents of 4 channels, 3x2, ")
    assert torch.equal(load_file("z.safetensors")["latents"], expected)
    assert command("encode", "noise.mkv", "z.npy", "--model", random_taesd, *words).status == 0
    assert np.array_equal(np.load("z.npy"), expected.numpy())


def test_latents_as_8_bit_pictures(command, random_taesd: Path, video: np.ndarray) -> None:
    outcome = command("encode", "noise.mkv", "z_%05d.png", "--model", random_taesd)
    assert outcome.status == 0, outcome.err
    assert sorted(path.name for path in Path().glob("*.png")) == [
        f"z_{n:05d}.png" for n in range(6)
    ]
    expected = _expected(video, random_taesd).clamp(-3, 3)
    with ts.open_latents("z_%05d.png") as read:
        assert (read[:] - expected).abs().max() <= 3 / 255 + 1e-6
    one = command("encode", "noise.mkv", "one.png", "--model", random_taesd, "--frames", "3")
    assert one.status == 0
    assert Path("one.png").read_bytes() == Path("z_00003.png").read_bytes()


def test_pictures_of_an_odd_size(command, random_taesd: Path) -> None:
    write_image("a.png", _pictures(1, 19, 33)[0])
    assert command("encode", "a.png", "z.npy", "--model", random_taesd).status == 0
    assert np.load("z.npy").shape == (1, 4, 3, 5)


@pytest.mark.parametrize("source", ["in", "in/%05d.png"])
def test_numbered_pictures(command, random_taesd: Path, source: str) -> None:
    frames = _pictures(3)
    with open_writer("in", width=24, height=16) as writer:
        for frame in frames:
            writer.write(frame)
    assert command("encode", source, "z.npy", "--model", random_taesd).status == 0
    assert np.array_equal(np.load("z.npy"), _expected(frames, random_taesd).numpy())


@pytest.mark.usefixtures("auto_takes_openvino")
def test_what_encode_made_decode_reads(command, random_taesd: Path, video: np.ndarray) -> None:
    del video
    for out in ("z.safetensors", "z.npy", "z_%d.png"):
        assert command("encode", "noise.mkv", out, "--model", random_taesd).status == 0
        outcome = command("decode", out, "a.npy", "--model", random_taesd, "--overwrite")
        assert outcome.status == 0, outcome.err
        assert np.load("a.npy").shape == (6, 16, 24, 3)


def test_a_photograph_comes_back(command, shared: Path) -> None:
    weights = shared / "weights/taef2_decoder.pth"
    face = read_image(shared / "media/astronaut.png")[:224, 112:336]
    write_image("face.png", face)
    assert command("encode", "face.png", "z.safetensors", "--model", weights).status == 0
    assert command("decode", "z.safetensors", "a.png", "--model", weights).status == 0
    error = read_image("a.png").astype(float) - face
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 28


@pytest.mark.usefixtures("video")
def test_json_is_one_object(command, random_taesd: Path) -> None:
    outcome = command("encode", "noise.mkv", "z.npy", "--model", random_taesd, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    told = json.loads(outcome.out)
    assert (told["files"], told["frames"]) == (["z.npy"], 6)
    assert told["seconds"] > 0
    assert told["peak_bytes"] > 2**20
    assert told["plan"]["action"] == "encode"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.mp4", "z.npy"], "missing.mp4"),
        (["text.mp4", "z.npy"], "text.mp4"),
        (["empty.png", "z.npy"], "empty.png"),
        (["sound.wav", "z.npy"], "sound.wav"),
        (["sizes", "z.npy"], "8x8"),
        (["nothing", "z.npy"], "nothing"),
        (["-", "z.npy"], "'-'"),
        (["noise.mkv", "z.xyz"], "z.xyz"),
        (["noise.mkv", "-"], "'-'"),
        (["noise.mkv", ""], "''"),
        (["noise.mkv", "folder/z.npy"], "folder"),
        (["noise.mkv", "text.mp4/z.npy"], "text.mp4"),
        (["noise.mkv", "exists.npy"], "exists already"),
        (["noise.mkv", "z.npy", "--frames", "6:"], "6"),
        (["noise.mkv", "z.npy", "--tile", "x"], "'x'"),
        (["noise.mkv", "z.npy", "--memory", "1B"], "1 B"),
        (["noise.mkv", "z.npy", "--model", "latent2rgb"], "encoder"),
    ],
)
@pytest.mark.usefixtures("video")
def test_what_cannot_be(command, random_taesd: Path, words: list[str], said: str) -> None:
    Path("text.mp4").write_text("no video")
    Path("empty.png").touch()
    Path("exists.npy").touch()
    Path("sizes").mkdir()
    Path("nothing").mkdir()
    write_image("sizes/1.png", _pictures(1)[0])
    write_image("sizes/2.png", _pictures(1, 8, 8)[0])
    with wave.open("sound.wav", "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    before = sorted(os.listdir())
    outcome = command("encode", "--model", random_taesd, *words)
    assert outcome.status == 2
    assert said in outcome.complaint
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("video")
def test_one_picture_of_latents_for_several_is_refused_before_work(
    command, random_taesd: Path
) -> None:
    with open_writer("noise.mp4", width=24, height=16) as writer:
        for frame in _pictures(2):
            writer.write(frame)
    outcome = command("encode", "noise.mp4", "z.png", "--model", random_taesd)
    assert outcome.status == 2
    assert "z_%05d.png" in outcome.complaint
    assert "encode 2 frames" not in outcome.err
    outcome = command("encode", "noise.mkv", "z.png", "--model", random_taesd)
    assert outcome.status == 2, "Matroska does not say how many frames there are"
    assert "%05d" in outcome.complaint
    assert not Path("z.png").exists()
