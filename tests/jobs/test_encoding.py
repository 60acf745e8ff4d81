from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.streams.decode_stream import Frame
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.jobs.progress import FrameProgress
from taesd_stream.latents import LatentWriter
from taesd_stream.models import variant_named
from video import open_writer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ts.AutoEncoder:
    """An encoder with TAESD's shapes, whose weights mean nothing."""
    encoder = variant_named("taesd").encoder
    assert encoder is not None
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "taesd_encoder.pth"
    torch.save({name: torch.randn(s) / 12 for name, s in encoder().shapes().items()}, path)
    return ts.load(path, device="cpu")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of five pictures, 24x16."""
    with open_writer(tmp_path / "in", width=24, height=16) as writer:
        for frame in np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), np.uint8):
            writer.write(frame)
    return tmp_path / "in"


def test_what_was_done(model: ts.AutoEncoder, pictures: Path, tmp_path: Path) -> None:
    plans = []
    done = ts.encode_file(pictures, tmp_path / "z.npy", model=model, on_plan=plans.append)
    assert plans == [done.plan]
    assert (done.path, done.frames, done.latents) == (tmp_path / "z.npy", 5, 5)
    assert (done.channels, done.height, done.width) == (4, 2, 3)
    assert str(done).startswith(f"{tmp_path}/z.npy: 5 latents of 4 channels, 3x2, ")
    assert done.to_json()["files"] == [f"{tmp_path}/z.npy"]


@pytest.fixture(scope="module")
def video_model() -> ts.AutoEncoder:
    """An encoder with TAEHV's shapes, whose weights mean nothing."""
    encoder = variant_named("taehv").encoder
    assert encoder is not None
    torch.manual_seed(0)
    state = {f"encoder.{n}": torch.randn(s) / 12 for n, s in encoder().shapes().items()}
    return ts.load(state, variant="taehv", device="cpu")


@pytest.mark.parametrize(
    ("frames", "latents", "source", "notes"),
    [
        (slice(5), 2, ", of 5 frames", ()),
        (slice(1), 1, "", ()),
        (slice(4), 1, ", of 4 frames", ("1 latent decodes to 1 frame, not 4",)),
        (slice(1, 4), 1, ", of 3 frames", ("1 latent decodes to 1 frame, not 3",)),
    ],
    ids=str,
)
def test_what_was_done_to_a_video(
    *,
    video_model: ts.AutoEncoder,
    pictures: Path,
    tmp_path: Path,
    frames: slice,
    latents: int,
    source: str,
    notes: tuple[str, ...],
) -> None:
    out = tmp_path / "z.npy"
    done = ts.encode_file(pictures, out, model=video_model, frames=frames)
    count = frames.stop - (frames.start or 0)
    assert (done.frames, done.latents, done.notes) == (count, latents, notes)
    assert (done.to_json()["frames"], done.to_json()["latents"]) == (count, latents)
    plural = "latents" if latents > 1 else "latent"
    assert str(done).startswith(f"{out}: {latents} {plural} of 16 channels, 3x2{source}, ")
    assert np.load(out).shape == (latents, 16, 2, 3)
    assert done.plan.frames == count


def test_the_bar_counts_frames_as_the_encoder_is_done_with_them(
    video_model: ts.AutoEncoder, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    class Bar(FrameProgress):
        def __init__(self, frames: int | None, **options: Any) -> None:
            events.append(f"of {frames}")
            super().__init__(frames, **options)

        def frame(self) -> None:
            events.append("frame")

    class Writer(LatentWriter):
        def write(self, latent: torch.Tensor) -> None:
            events.append("latent")
            super().write(latent)

    monkeypatch.setattr("taesd_stream.jobs.encoding_frames.FrameProgress", Bar)
    monkeypatch.setattr("taesd_stream.jobs.encoding_output.LatentWriter", Writer)
    ts.encode_file(pictures, tmp_path / "z.npy", model=video_model)
    assert events == ["of 5", *["frame"] * 3, "latent", *["frame"] * 2, "latent"]


@pytest.mark.parametrize("frames", [slice(1, None), slice(-2, None), slice(0, 5, 2)])
def test_some_frames(model: ts.AutoEncoder, pictures: Path, tmp_path: Path, frames: slice) -> None:
    ts.encode_file(pictures, tmp_path / "all.npy", model=model)
    ts.encode_file(pictures, tmp_path / "some.npy", model=model, frames=frames)
    assert np.array_equal(np.load(tmp_path / "some.npy"), np.load(tmp_path / "all.npy")[frames])


def test_values_that_8_bits_cannot_hold_are_counted(
    model: ts.AutoEncoder, pictures: Path, tmp_path: Path
) -> None:
    plain = ts.encode_file(pictures, tmp_path / "z.npy", model=model)
    beyond = int((np.abs(np.load(plain.path)) > 3).sum())
    done = ts.encode_file(pictures, tmp_path / "z_%d.png", model=model)
    assert beyond > 0
    assert done.notes == (f"{beyond} values beyond what 8 bits hold were clipped",)


@pytest.fixture
def interrupted(model: ts.AutoEncoder, monkeypatch: pytest.MonkeyPatch) -> ts.AutoEncoder:
    """Ctrl-C comes while the third picture is encoded."""
    encode = EncodeStream.encode

    def encode_two(stream: EncodeStream, frames: Iterable[Frame]) -> Iterator[torch.Tensor]:
        yield from itertools.islice(encode(stream, frames), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(EncodeStream, "encode", encode_two)
    return model


def test_an_interrupt_keeps_what_is_finished(
    interrupted: ts.AutoEncoder, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ts.Interrupted, match=r"the first 2 latents are in .*z\.part\.npy"):
        ts.encode_file(pictures, tmp_path / "z.npy", model=interrupted)
    assert np.load(tmp_path / "z.part.npy").shape == (2, 4, 2, 3)
    assert not (tmp_path / "z.npy").exists()


def test_an_interrupt_keeps_finished_pictures(
    interrupted: ts.AutoEncoder, pictures: Path, tmp_path: Path
) -> None:
    kept = f"2 finished pictures are kept, {tmp_path}/z_0.png to {tmp_path}/z_1.png"
    with pytest.raises(ts.Interrupted, match=kept):
        ts.encode_file(pictures, tmp_path / "z_%d.png", model=interrupted)
    with ts.open_latents(tmp_path / "z_%d.png") as source:
        assert len(source) == 2


@pytest.mark.parametrize("out", ["z.npy", "z.png", "z_%d.png"])
def test_an_interrupt_before_the_first_leaves_nothing(
    model: ts.AutoEncoder, pictures: Path, tmp_path: Path, out: str
) -> None:
    def interrupt(plan: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(ts.Interrupted, match="nothing is left behind"):
        ts.encode_file(pictures, tmp_path / out, model=model, frames=slice(1), on_plan=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
