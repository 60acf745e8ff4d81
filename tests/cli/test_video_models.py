"""Video models: which they are, how many frames there are, some of them, fewer, smaller."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import taesd_stream as ts

Weights = Callable[[str], Path]

LATENTS = {
    "taesdv": (4, 4, 2, 3),
    "taehv": (4, 16, 2, 3),
    "taecvx": (4, 16, 2, 3),
    "taeh3": (7, 24, 1, 2),
    "taem1": (3, 12, 2, 3),
    "taew2_2_super": (2, 48, 1, 2),
}


def saved(name: str) -> torch.Tensor:
    """Latents for a model, which are in z.pt."""
    latents = torch.randn(LATENTS[name], generator=torch.Generator().manual_seed(0))
    torch.save(latents, "z.pt")
    return latents


def options(name: str, weights: Weights) -> list[object]:
    return ["--model", weights(name), "--variant", name]


@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [
        ("taesdv", 4, "24x16"),
        ("taeh3", 22, "32x16"),
        ("taew2_2_super", 5, "32x16"),
    ],
)
def test_a_video_of_all_its_frames(
    command, video_weights: Weights, name: str, frames: int, size: str
) -> None:
    latents = saved(name)
    outcome = command("decode", "z.pt", "a.mp4", *options(name, video_weights))
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith(f"a.mp4: {frames} frames at 24 fps, {size}, ")
    assert f"decode {frames} frames of {size} pixels with {name} on cpu" in outcome.err
    with av.open("a.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
    assert command("decode", "z.pt", "a.npy", *options(name, video_weights)).status == 0
    ae = ts.load(video_weights(name), variant=name, device="cpu")
    assert np.array_equal(np.load("a.npy"), np.stack(list(ae.stream(latents))))


@pytest.mark.parametrize("words", [(), ("--tile", "1"), ("--memory", "64MiB"), ("--frames", "5:7")])
def test_plan_prints_what_decode_prints_and_does(
    command, video_weights: Weights, words: tuple[str, ...]
) -> None:
    saved("taehv")
    given = [*options("taehv", video_weights), *words]
    if "--memory" not in words:
        given += ["--memory", "2GiB"]
    planned = command("plan", "z.pt", *given)
    assert planned.status == 0
    done = command("decode", "z.pt", "a.npy", *given)
    assert done.err == planned.out
    assert ("remembering" in done.err) or ("tile by tile" in done.err)
    frames = 2 if "--frames" in words else 13
    assert done.err.startswith(f"decode {frames} frames of 24x16 pixels with taehv on ")
    assert len(np.load("a.npy")) == frames
    told = json.loads(command("plan", "z.pt", *given, "--json").out)
    assert (told["frames"], told["memory"]["home"]) == (frames, "device")


def test_a_plan_by_name_needs_no_weights(command) -> None:
    saved("taehv")
    outcome = command("plan", "z.pt", "--variant", "taecvx")
    assert outcome.status == 0
    assert outcome.out.startswith("decode 16 frames of 24x16 pixels with taecvx on ")
    assert command("plan", "z.pt", "--model", "taehv").out.startswith("decode 13 frames of 24x16")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [("0", slice(1)), ("9", slice(9, 10)), ("9:", slice(9, None)), ("3:6", slice(3, 6))],
)
def test_some_frames_are_frames_of_the_video(
    command, video_weights: Weights, text: str, chosen: slice
) -> None:
    saved("taehv")
    words = options("taehv", video_weights)
    assert command("decode", "z.pt", "all.npy", *words).status == 0
    outcome = command("decode", "z.pt", "some.npy", *words, "--frames", text)
    assert outcome.status == 0, outcome.err
    assert np.array_equal(np.load("some.npy"), np.load("all.npy")[chosen])
    if text == "9":
        assert command("decode", "z.pt", "a.png", *words, "--frames", text).status == 0


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (["--no-time-upscale"], (4, 16, 24, 3)),
        (["--no-space-upscale"], (13, 2, 3, 3)),
        (["--no-time-upscale", "--no-space-upscale"], (4, 2, 3, 3)),
        (["--no-time-upscale", "--frames", "1:3"], (2, 16, 24, 3)),
    ],
)
def test_cheap_previews(
    command, video_weights: Weights, words: list[str], shape: tuple[int, ...]
) -> None:
    saved("taehv")
    given = [*options("taehv", video_weights), *words]
    outcome = command("decode", "z.pt", "a.npy", *given)
    assert outcome.status == 0, outcome.err
    assert np.load("a.npy").shape == shape
    assert f"decode {shape[0]} frames of {shape[2]}x{shape[1]} pixels" in outcome.err
    assert command("plan", "z.pt", *given).out.split(":")[0] == outcome.err.split(":")[0]


@pytest.mark.usefixtures("auto_takes_openvino")
def test_several_clips_follow_each_other(command, video_weights: Weights) -> None:
    clips = saved("taehv").view(2, 2, 16, 2, 3)
    torch.save(clips, "clips.pt")
    words = options("taehv", video_weights)
    outcome = command("decode", "clips.pt", "a.npy", *words, "--layout", "NTCHW")
    assert outcome.status == 0, outcome.err
    assert "decode 10 frames of 24x16" in outcome.err
    both = []
    for clip in clips:
        torch.save(clip, "z.pt")
        assert command("decode", "z.pt", "one.npy", *words, "--overwrite").status == 0
        both.append(np.load("one.npy"))
    assert np.array_equal(np.load("a.npy"), np.concatenate(both))


def test_latents_of_which_no_frame_is_made_are_told(command, video_weights: Weights) -> None:
    torch.save(torch.zeros(9, 24, 1, 2), "z.pt")
    words = options("taeh3", video_weights)
    outcome = command("decode", "z.pt", "a.npy", *words)
    assert outcome.status == 0
    assert len(np.load("a.npy")) == 22
    assert outcome.err.count("the last 2 of 9 latents make no frame") == 1


@pytest.mark.parametrize(
    ("model", "latents", "words", "said"),
    [
        ("taehv", (4, 16, 2, 3), [], "taehv (Hunyuan Video), taew2_1 (Wan 2.1), "),
        ("taehv", (4, 16, 2, 3), ["--variant", "taew2_2"], "the shapes fit taehv, taew2_1, taeos"),
        ("taehv", (4, 16, 2, 3), ["--variant", "taesd3"], "expected taesd3, but its decoder's 1.w"),
        ("taehv", (4, 16, 2, 3), ["--variant", "taehw"], "found 'taehw'"),
        ("taehv", (4, 4, 2, 3), ["--variant", "taehv"], "16 channels"),
        ("taeh3", (1, 24, 2, 3), [], "expected at least 2, found 1: taeh3 makes its first 5 fram"),
        ("taeh3", (7, 24, 2, 3), ["--frames", "22"], "the 22 frames, from 0 up, found none in 22"),
        ("taesdv", (2, 4, 2, 3), ["--no-time-upscale"], "time upscale: taesdv cannot do without"),
        ("taew2_2_super", (1, 48, 1, 1), ["--no-space-upscale"], "space upscale: taew2_2_super"),
        ("taehv", (4, 16, 2, 3), ["--variant", "taehv", "--memory", "500KiB"], "at least"),
    ],
)
def test_what_cannot_be(
    *,
    command,
    video_weights: Weights,
    model: str,
    latents: tuple[int, ...],
    words: list[str],
    said: str,
) -> None:
    torch.save(torch.zeros(latents), "z.pt")
    outcome = command("decode", "z.pt", "a.mp4", "--model", video_weights(model), *words)
    assert outcome.status == 2
    assert said in outcome.complaint
    assert not Path("a.mp4").exists()


@pytest.mark.parametrize("words", [["--model", "latent2rgb"], ["--model", "WEIGHTS"]])
@pytest.mark.parametrize("option", ["--no-time-upscale", "--no-space-upscale"])
def test_image_models_have_no_previews(
    command, random_taesd: Path, words: list[str], option: str
) -> None:
    torch.save(torch.zeros(2, 4, 2, 3), "z.pt")
    given = [str(random_taesd) if word == "WEIGHTS" else word for word in words]
    for name in (["plan", "z.pt"], ["decode", "z.pt", "a.mp4"]):
        outcome = command(*name, *given, option)
        assert outcome.status == 2
        assert "cannot do without; leave the option out, or give a model that can: taehv" in (
            outcome.complaint
        )


def test_16_channels_alone_name_no_model_but_all_that_there_are(command) -> None:
    saved("taehv")
    outcome = command("decode", "z.pt", "a.mp4")
    assert outcome.status == 2
    for name in ("taesd3", "taef1", "taehv", "taew2_1", "taeos1_3", "taecvx", "--model"):
        assert name in outcome.complaint


@pytest.mark.parametrize(
    ("name", "said", "values"),
    [
        (
            "taeh3",
            "16 pixels and 4 frames per latent; a frame looks 8 latents back, the first one needs 2"
            " latents; encoder of",
            {"model": "taeh3", "temporal_scale": 4, "latents_back": 8, "first_frame_after": 2},
        ),
        (
            "taesdv",
            "8 pixels per latent; a frame looks 10 latents back, the first one needs 1 latent;",
            {"model": "taesdv", "temporal_scale": 1, "latents_back": 10, "first_frame_after": 1},
        ),
        (
            "taehv",
            "taehv or taew2_1 or taeos1_3 or taecvx or lighttaew2_1, for the latents of one of"
            " these (say which with --variant): 16 channels, 8 pixels and 4 frames per latent;",
            {"model": None, "fits": ["taehv", "taew2_1", "taeos1_3", "taecvx", "lighttaew2_1"]},
        ),
    ],
)
def test_info_of_a_checkpoint(
    command, video_weights: Weights, name: str, said: str, values: dict[str, object]
) -> None:
    outcome = command("info", video_weights(name))
    assert outcome.status == 0
    assert said in outcome.out
    told = json.loads(command("info", video_weights(name), "--json").out)
    assert {key: told[key] for key in values} == values


def test_info_of_a_real_clip_names_the_models_for_it(command, shared: Path) -> None:
    outcome = command("info", shared / "latents" / "wan_t2v.pth")
    assert outcome.status == 0
    assert "16 latents of 16 channels, 64x40" in outcome.out
    assert "taew2_1" in outcome.out


def test_a_real_clip_is_decoded_in_time_and_place(
    command, shared: Path, video_weights: Weights
) -> None:
    """It is stored N C T H W, which its numbers tell; a preview is quick."""
    source = shared / "latents" / "wan_t2v.pth"
    planned = command("plan", source, "--variant", "taew2_1")
    assert planned.out.startswith("decode 61 frames of 512x320 pixels with taew2_1 on ")
    words = ["--model", video_weights("taehv"), "--variant", "taew2_1"]
    words += ["--no-space-upscale", "--frames", "3:5"]
    outcome = command("decode", source, "a.mp4", *words)
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("a.mp4: 2 frames at 24 fps, 64x40, ")
    assert "taken as N C T H W, told by content" in outcome.err
