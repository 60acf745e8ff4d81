"""plan, info, models and demo."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import av
import pytest
import torch

from taesd_stream.cli import commands
from taesd_stream.models import VARIANTS
from taesd_stream.samples import sample_path


@pytest.mark.parametrize(
    "words",
    [
        ("--model", "latent2rgb"),
        ("--model", "latent2rgb", "--tile", "4"),
        ("--model", "latent2rgb", "--tile", "5x4", "--frames", "2:5"),
        ("--model", "latent2rgb", "--tile", "4", "--overlap", "1"),
        ("--model", "latent2rgb", "--layout", "TCHW", "--dtype", "bfloat16"),
        ("--model", "WEIGHTS"),
        ("--model", "WEIGHTS", "--tile", "3", "--frames", "1"),
        ("--model", "WEIGHTS", "--tile", "none"),
    ],
)
def test_plan_prints_what_decode_prints(
    command, clip_file: Path, random_taesd: Path, words: tuple[str, ...]
) -> None:
    given = [str(random_taesd) if word == "WEIGHTS" else word for word in words]
    planned = command("plan", clip_file, *given, "--memory", "100MiB")
    assert planned.status == 0
    assert planned.out.count("\n") == 1
    done = command("decode", clip_file, "a.npy", *given, "--memory", "100MiB")
    assert done.status == 0, done.err
    assert done.err == planned.err + planned.out


def test_plan_needs_no_weights_and_names_the_official_model(command, clip_file: Path) -> None:
    outcome = command("plan", clip_file)
    assert outcome.status == 0
    assert outcome.out.startswith("decode 10 frames of 64x48 pixels with taesd on ")
    assert "taesd, for latents of 4 channels" in outcome.err


def test_a_model_in_a_file_settles_the_layout_for_plan_as_for_decode(
    command, random_taesd: Path
) -> None:
    torch.save(torch.zeros(1, 4, 16, 6, 8), "z.pt")
    assert command("plan", "z.pt").status == 2
    for words in (["plan", "z.pt"], ["decode", "z.pt", "a.npy"]):
        outcome = command(*words, "--model", random_taesd)
        assert outcome.status == 0, outcome.err
        assert "decode 16 frames" in outcome.out + outcome.err


def test_plan_as_json(command, clip_file: Path) -> None:
    outcome = command("plan", clip_file, "--model", "latent2rgb", "--json", "--frames", ":3")
    told = json.loads(outcome.out)
    assert (told["frames"], told["pixels"], told["latents"]) == (3, [48, 64], [6, 8])


@pytest.mark.parametrize("out", ["a.tif", "a.mp4"])
def test_plan_is_that_of_the_output(command, random_taesd: Path, out: str) -> None:
    """One that is made in bands takes other tiles."""
    pytest.importorskip("tifffile")
    torch.save(torch.randn(1, 4, 30, 16, generator=torch.Generator().manual_seed(0)), "z.pt")
    options = ("--model", random_taesd, "--memory", "16MiB", "--backend", "torch", "--json")
    planned = json.loads(command("plan", "z.pt", out, *options).out)
    done = json.loads(command("decode", "z.pt", out, *options).out)
    # A trial tells them, for which so short a decode has no time.
    assert planned["seconds"] > 0
    unlike = {"frames": None, "seconds": None}
    assert {**planned, **unlike} == {**done["plan"], **unlike}
    assert not Path(out).with_suffix(".part").exists()
    refused = command("plan", "z.pt", "a.tif", "--model", random_taesd, "--frames", "4")
    assert refused.status == 2


def test_plan_refuses_what_decode_refuses(command, clip_file: Path) -> None:
    outcome = command("plan", clip_file, "--model", "latent2rgb", "--frames", "20:30")
    assert outcome.status == 2
    assert "the 10 frames, from 0 up, found none in 20:30" in outcome.complaint


def test_info_of_latents(command, clip_file: Path) -> None:
    outcome = command("info", clip_file)
    assert outcome.status == 0
    for said in ("10 latents of 4 channels", "8x6", "float32", "T C H W", "taesd, taesdxl"):
        assert said in outcome.out
    told = json.loads(command("info", clip_file, "--json").out)
    assert (told["kind"], told["shape"], told["layout"]) == ("latents", [10, 4, 6, 8], "T C H W")


def test_info_of_weights(command, random_taesd: Path) -> None:
    outcome = command("info", random_taesd)
    assert outcome.status == 0
    assert "taesd, for the latents of Stable Diffusion 1 and 2: 4 channels" in outcome.out
    told = json.loads(command("info", random_taesd / "taesd_decoder.pth", "--json").out)
    assert (told["kind"], told["model"], told["halo"]) == ("checkpoint", "taesd", 19)


def test_info_of_neither(command, tmp_path: Path) -> None:
    (tmp_path / "shopping.txt").write_text("eggs")
    outcome = command("info", "shopping.txt")
    assert outcome.status == 2
    assert "expected latents or a checkpoint, found neither" in outcome.complaint
    missing = command("info", "missing.pt")
    assert missing.status == 2
    assert missing.complaint.count("missing.pt") == 1


def test_info_of_axes_that_fit_two_layouts(command, tmp_path: Path) -> None:
    source = tmp_path / "z.pt"
    torch.save(torch.zeros(1, 4, 16, 6, 8), source)
    outcome = command("info", source)
    assert outcome.status == 0
    assert "NCTHW: " in outcome.out
    assert "NTCHW: " in outcome.out
    told = json.loads(command("info", source, "--json").out)
    assert told["layout"] is None
    assert [each["layout"] for each in told["readings"]] == ["N C T H W", "N T C H W"]
    assert [each["latents"] for each in told["readings"]] == [16, 4]
    assert command("decode", source, "a.mp4").status == 2


def test_models_are_all_listed(command) -> None:
    outcome = command("models")
    assert outcome.status == 0
    lines, also = (part.splitlines() for part in outcome.out.split("\n\n"))
    assert any(line.startswith("taef1: FLUX, ") for line in also)
    assert max(map(len, also)) < 100
    assert [line.split()[0] for line in lines[1:]] == [variant.name for variant in VARIANTS]
    assert max(map(len, lines)) < 100
    columns = lines[0].split("  ")
    assert [each.strip() for each in columns if each] == [
        "model", "latents of", "channels", "scale", "frames", "back", "first", "weights"
    ]  # fmt: skip
    taeh3 = next(line for line in lines if line.startswith("taeh3 "))
    assert taeh3.split() == ["taeh3", "MiniMax", "H3", "24", "16", "4", "8", "2", "online"]
    told = json.loads(command("models", "--json").out)["models"]
    assert {row["weights"] for row in told} == {"built in", "online", "hub"}
    explained = command("models", "--help").out
    for column in ("scale", "frames", "back", "first", "online"):
        assert column in explained


def test_demo_needs_no_network(
    command, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A part of the sample: README's example is all of it."""
    part = tmp_path_factory.mktemp("sample")
    for picture in sorted(sample_path().glob("*.png"))[:4]:
        shutil.copy(picture, part)
    monkeypatch.setattr(commands, "sample_path", lambda: part)

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the demo asked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    outcome = command("demo")
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("taesd-demo.mp4: 4 frames at 24 fps, ")
    with av.open("taesd-demo.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 4
    again = command("demo")
    assert again.status == 2
    assert "'taesd-demo.mp4' exists already" in again.complaint
    elsewhere = command("demo", "still.jpg", "--json")
    assert elsewhere.status == 2
    assert "still_%05d.jpg" in elsewhere.complaint


def test_what_nobody_expected_is_one_line_and_status_1(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("taesd_stream.cli.commands.model_rows", fail)
    outcome = command("models")
    assert outcome.status == 1
    assert outcome.err.startswith("taesd-video: unexpected RuntimeError: two lines (set TAESD_")
    monkeypatch.setenv("TAESD_STREAM_DEBUG", "1")
    assert "Traceback" in command("models").err
