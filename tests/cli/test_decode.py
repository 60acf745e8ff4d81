"""Decoding to every kind of file, and outputs and options that cannot be."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.nn.functional import interpolate

import taesd_stream as ts
from video import open_reader, read_image

MODEL = ("--model", "latent2rgb")


@pytest.fixture
def frames(clip: torch.Tensor) -> np.ndarray:
    """The frames that the clip decodes to: (10, 48, 64, 3) bytes."""
    return np.stack(list(ts.load("latent2rgb", device="cpu").stream(clip)))


def _read(path: str) -> np.ndarray:
    with open_reader(path) as reader:
        return np.stack([frame.image for frame in reader])


@pytest.mark.parametrize(
    ("out", "codec"),
    [
        ("a.mp4", "h264"),
        ("a.mov", "h264"),
        ("a.mkv", "h264"),
        ("a.MP4", "h264"),
        ("a.webm", "vp9"),
        ("a.gif", "gif"),
    ],
)
def test_the_suffix_chooses_the_kind_of_video(
    command, clip_file: Path, out: str, codec: str
) -> None:
    outcome = command("decode", clip_file, out, *MODEL)
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith(f"{out}: 10 frames at 24 fps, 64x48, ")
    with av.open(out) as container:
        stream = container.streams.video[0]
        assert stream.codec.canonical_name == codec
        assert (stream.width, stream.height) == (64, 48)
        assert sum(1 for _ in container.decode(video=0)) == 10


def test_webp_is_an_animation(command, clip_file: Path, frames: np.ndarray) -> None:
    assert command("decode", clip_file, "a.webp", *MODEL, "--lossless").status == 0
    assert np.array_equal(_read("a.webp"), frames)


@pytest.mark.parametrize("out", ["a.mkv", "a.mp4"])
def test_lossless_keeps_every_byte(command, clip_file: Path, frames: np.ndarray, out: str) -> None:
    assert command("decode", clip_file, out, *MODEL, "--lossless").status == 0
    assert np.array_equal(_read(out), frames)


def test_codec_and_quality(command, clip_file: Path) -> None:
    sizes = {}
    for crf in (0, 50):
        out = f"{crf}.mp4"
        outcome = command("decode", clip_file, out, *MODEL, "--codec", "h265", "--crf", crf)
        assert outcome.status == 0, outcome.err
        sizes[crf] = Path(out).stat().st_size
        with av.open(out) as container:
            assert container.streams.video[0].codec.canonical_name == "hevc"
    assert sizes[50] < sizes[0]


def test_sound_goes_along(command, clip_file: Path) -> None:
    with wave.open("a.wav", "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.zeros(16000, np.int16).tobytes())
    assert command("decode", clip_file, "a.mp4", *MODEL, "--audio", "a.wav").status == 0
    with av.open("a.mp4") as container:
        sound = container.streams.audio[0]
        assert sound.codec.canonical_name == "aac"
        assert float(sound.duration * sound.time_base) == pytest.approx(10 / 24, abs=0.15)


def test_arrays_hold_the_frames_of_stream(command, clip_file: Path, frames: np.ndarray) -> None:
    assert command("decode", clip_file, "a.npy", *MODEL).status == 0
    assert np.array_equal(np.load("a.npy"), frames)
    assert command("decode", clip_file, "a.safetensors", *MODEL).status == 0
    stored = load_file("a.safetensors")
    assert list(stored) == ["images"]
    assert np.array_equal(stored["images"], frames.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("out", ["f_%04d.png", "folder", "folder/"])
def test_numbered_pictures(command, clip_file: Path, frames: np.ndarray, out: str) -> None:
    assert command("decode", clip_file, out, *MODEL, "--frames", "2:5").status == 0
    names = [f"f_{n:04d}.png" if "%" in out else f"folder/{n:05d}.png" for n in range(3)]
    for name, frame in zip(names, frames[2:5], strict=True):
        assert np.array_equal(read_image(name), frame)
    assert sum(1 for _ in Path(names[0]).parent.glob("*.png")) == 3


@pytest.mark.parametrize("out", ["a.png", "a.jpg"])
def test_one_still(command, clip_file: Path, frames: np.ndarray, out: str) -> None:
    outcome = command("decode", clip_file, out, *MODEL, "--frames", "4")
    assert outcome.status == 0
    assert outcome.out.startswith(f"{out}: 1 frame, 64x48")
    assert np.abs(read_image(out).astype(int) - frames[4]).mean() < (1 if out == "a.jpg" else 1e-9)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ([], range(10)),
        (["--frames", "3"], [3]),
        (["--frames", "0"], [0]),
        (["--frames", "7:"], [7, 8, 9]),
        (["--frames", ":2"], [0, 1]),
        (["--frames", "4:6"], [4, 5]),
        (["--frames", "8:999"], [8, 9]),
    ],
)
def test_frames(command, clip_file: Path, frames: np.ndarray, words: list[str], numbers) -> None:
    assert command("decode", clip_file, "a.npy", *MODEL, *words).status == 0
    assert np.array_equal(np.load("a.npy"), frames[list(numbers)])


@pytest.mark.parametrize("fps", ["24", "23.976", "24000/1001", "30", "12.5"])
def test_the_rate_is_exact(command, clip_file: Path, fps: str) -> None:
    outcome = command("decode", clip_file, "a.mp4", *MODEL, "--fps", fps, "--json")
    rate = {"23.976": Fraction(24000, 1001), "12.5": Fraction(25, 2)}.get(fps) or Fraction(fps)
    assert Fraction(json.loads(outcome.out)["rate"]) == rate
    with av.open("a.mp4") as container:
        assert container.streams.video[0].average_rate == rate
        seconds = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert seconds == [index / rate for index in range(10)]


def test_colours_survive_the_whole_path(command) -> None:
    """Latents to mp4 and back to bytes: within a level, where the picture is smooth."""
    torch.manual_seed(0)
    z = interpolate(torch.randn(4, 4, 3, 4), size=(24, 32), mode="bicubic")
    torch.save(z, "z.pt")
    expected = np.stack(list(ts.load("latent2rgb", device="cpu").stream(z))).astype(int)
    assert expected.std(axis=(0, 1, 2)).min() > 15, "a test of colours needs some"
    assert command("decode", "z.pt", "a.mp4", *MODEL).status == 0
    error = _read("a.mp4").astype(int) - expected
    assert np.abs(error).mean() < 1
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.5, "no channel is off as a whole"


def test_standard_input(command, clip_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with clip_file.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        outcome = command("decode", "-", "a.npy", *MODEL)
    assert outcome.status == 0, outcome.err
    assert len(np.load("a.npy")) == 10


def test_json_is_one_object_and_all_there_is(command, clip_file: Path) -> None:
    outcome = command("decode", clip_file, "a.mp4", *MODEL, "--json", "--memory", "64MiB")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.count("\n") == 1
    told = json.loads(outcome.out)
    assert told["files"] == ["a.mp4"]
    assert told["frames"] == 10
    assert told["seconds"] > 0
    assert told["peak_bytes"] > 2**20
    assert told["plan"]["model"] == "latent2rgb"
    assert told["plan"]["budget_bytes"] == 2**26


def test_no_bar_and_no_colours_in_a_pipe(command, clip_file: Path) -> None:
    outcome = command("decode", clip_file, "a.mp4", *MODEL)
    assert outcome.err.startswith("decode 10 frames of 64x48 pixels with latent2rgb on ")
    assert outcome.err.count("\n") == 1
    assert "\r" not in outcome.err
    assert "\x1b" not in outcome.err


@pytest.mark.parametrize("out", ["a.mp4", "a.npy", "a.safetensors", "a.png", "p%d.png", "folder"])
def test_what_exists_stays_unless_asked(command, clip_file: Path, out: str) -> None:
    if out == "folder":
        Path(out).mkdir()
    existing = Path({"p%d.png": "p0.png", "folder": "folder/00000.png"}.get(out, out))
    existing.write_text("mine")
    words = ["decode", clip_file, out, *MODEL, "--frames", "0"]
    outcome = command(*words)
    assert outcome.status == 2
    assert "exists already" in outcome.complaint
    assert existing.read_text() == "mine"
    assert command(*words, "--overwrite").status == 0
    assert existing.read_bytes() != b"mine"


def test_a_failure_with_overwrite_leaves_the_old_file(command, clip: torch.Tensor) -> None:
    clip[5] = float("nan")
    torch.save(clip, "z.pt")
    for out in ("a.mp4", "a.npy"):
        Path(out).write_text("mine")
        assert command("decode", "z.pt", out, *MODEL, "--overwrite").status == 2
        assert Path(out).read_text() == "mine"
    assert sorted(os.listdir()) == ["a.mp4", "a.npy", "z.pt"]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "''"),
        ("a.xyz", "a.xyz"),
        ("a.png", "a_%05d.png"),
        ("%d_%d.png", "one %d"),
        ("missing/a.mp4", "missing"),
        ("missing/a.npy", "missing"),
        ("missing/a_%d.png", "missing"),
        ("missing/folder/", "missing"),
        ("clip.pt/a.mp4", "clip.pt"),
        ("clip.pt/a.npy", "clip.pt"),
        ("clip.pt/%d.png", "clip.pt"),
        ("/proc/a.mp4", "/proc/a.mp4"),
        ("/proc/a.npy", "/proc/a.npy"),
        ("/proc/folder", "/proc/folder"),
        ("n" * 300 + ".mp4", "nnn"),
        ("n" * 300 + ".xyz", "nnn"),
    ],
)
def test_outputs_that_cannot_be(command, clip_file: Path, out: str, said: str) -> None:
    outcome = command("decode", clip_file, out, *MODEL)
    assert outcome.status == 2
    assert said in outcome.complaint
    assert os.listdir() == ["clip.pt"]


@pytest.mark.parametrize(
    ("out", "words", "said"),
    [
        ("a.mp4", ["--codec", "nonsense"], "'nonsense'"),
        ("a.webm", ["--codec", "h264"], "'.webm'"),
        ("a.mp4", ["--crf", "99"], "99"),
        ("a.mp4", ["--audio", "missing.wav"], "missing.wav"),
        ("a.mp4", ["--audio", "clip.pt"], "clip.pt"),
        ("a.gif", ["--audio", "clip.pt"], "clip.pt"),
        ("folder", ["--codec", "h264"], "codec"),
        ("a.npy", ["--codec", "h264"], "'h264'"),
        ("a.npy", ["--crf", "3"], "crf"),
        ("a.safetensors", ["--audio", "a.wav"], "'a.wav'"),
        ("a.jpg", ["--lossless", "--frames", "1"], "JPEG"),
        ("a.mp4", ["--frames", "10:"], "10 frames"),
        ("a.mp4", ["--frames", "10"], "10:11"),
        ("a.mp4", ["--memory", "much"], "'much'"),
        ("a.mp4", ["--memory", "0"], "'0'"),
        ("a.mp4", ["--memory", "1KiB"], "1 KiB"),
        ("a.mp4", ["--device", "abacus"], "'abacus'"),
        ("a.mp4", ["--dtype", "int4"], "'int4'"),
        ("a.mp4", ["--dtype", "int8"], "expected torch for this model"),
        ("a.mp4", ["--dtype", "float16", "--backend", "openvino"], "float32, bfloat16, int8"),
        ("a.mp4", ["--backend", "abacus"], "'abacus'"),
        ("a.mp4", ["--layout", "XYZ"], "'XYZ'"),
        ("a.mp4", ["--key", "z"], "'z'"),
    ],
)
def test_options_that_cannot_be(
    command, clip_file: Path, out: str, words: list[str], said: str
) -> None:
    outcome = command("decode", clip_file, out, *MODEL, *words)
    assert outcome.status == 2
    assert said in outcome.complaint
    assert os.listdir() == ["clip.pt"]


@contextlib.contextmanager
def tiny_disk() -> Iterator[None]:
    """No file becomes larger than 3000 bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("out", ["a.mp4", "a.mkv", "a.gif", "a.npy", "a.safetensors", "%d.png"])
def test_a_full_disk_leaves_nothing(command, out: str) -> None:
    torch.manual_seed(0)
    torch.save(torch.randn(4, 4, 9, 9), "z.pt")
    with tiny_disk():
        outcome = command("decode", "z.pt", out, *MODEL)
    assert outcome.status == 1
    assert "no room" in outcome.complaint
    assert os.listdir() == ["z.pt"]
