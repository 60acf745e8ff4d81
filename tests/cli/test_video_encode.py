"""Video models: frames to latents, how many of each, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from video import open_writer

Weights = Callable[[str], Path]


def options(name: str, weights: Weights) -> list[object]:
    return ["--model", weights(name), "--variant", name]


def video(frames: int) -> None:
    """Pictures that move, 48x32, which are in v.mp4."""
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    with open_writer("v.mp4", width=48, height=32, overwrite=True) as writer:
        for number in range(frames):
            writer.write(np.roll(picture, number, 1))


@pytest.mark.parametrize(
    ("name", "frames", "shape", "back"),
    [
        ("taesdv", 5, (5, 4, 4, 6), 5),
        ("taehv", 9, (3, 16, 4, 6), 9),
        ("taehv", 10, (3, 16, 4, 6), 9),
        ("taecvx", 16, (4, 16, 4, 6), 16),
        ("taem1", 7, (2, 12, 4, 6), 7),
        ("taeh3", 22, (7, 24, 2, 3), 22),
    ],
)
def test_frames_to_latents_and_back(
    *,
    command,
    video_weights: Weights,
    name: str,
    frames: int,
    shape: tuple[int, ...],
    back: int,
) -> None:
    video(frames)
    words = options(name, video_weights)
    outcome = command("encode", "v.mp4", "z.safetensors", *words)
    assert outcome.status == 0, outcome.err
    source = f", of {frames} frames" if frames != shape[0] else ""
    size = f"{shape[0]} latents of {shape[1]} channels, {shape[3]}x{shape[2]}"
    assert outcome.out.startswith(f"z.safetensors: {size}{source}, ")
    assert f"encode {frames} frames " in outcome.err
    lost = f"{shape[0]} latents decode to {back} frames, not {frames}"
    assert (lost in outcome.err) == (back != frames)
    assert load_file("z.safetensors")["latents"].shape == shape
    assert command("decode", "z.safetensors", "a.npy", *words).status == 0
    assert np.load("a.npy").shape == (back, 32, 48, 3)


def test_an_encode_as_json_counts_both(command, video_weights: Weights) -> None:
    video(10)
    words = options("taehv", video_weights)
    outcome = command("encode", "v.mp4", "z.npy", *words, "--frames", "2:", "--json")
    told = json.loads(outcome.out)
    assert (told["frames"], told["latents"], told["plan"]["frames"]) == (8, 2, 8)
    assert told["notes"] == ["2 latents decode to 5 frames, not 8"]
    assert np.load("z.npy").shape[0] == 2


def test_encoding_by_a_variants_name_asks_for_its_weights(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def no_network(*_: object, **__: object) -> None:
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    video(2)
    for words, name in ((["--variant", "taew2_1"], "taew2_1"), ([], "taesd")):
        outcome = command("encode", "v.mp4", "z.npy", *words)
        assert outcome.status == 2
        assert f"the weights of {name!r}" in outcome.complaint
