from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
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
    assert (done.path, done.frames) == (tmp_path / "z.npy", 5)
    assert (done.channels, done.height, done.width) == (4, 2, 3)
    assert str(done).startswith(f"{tmp_path}/z.npy: 5 latents of 4 channels, 3x2, ")
    assert done.to_json()["files"] == [f"{tmp_path}/z.npy"]


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


class _InterruptedModel(ts.AutoEncoder):
    """Ctrl-C comes while the third picture is encoded."""

    def encode_stream(self, frames, **options) -> Iterator[torch.Tensor]:
        yield from itertools.islice(super().encode_stream(frames, **options), 2)
        raise KeyboardInterrupt


@pytest.fixture
def interrupted(model: ts.AutoEncoder) -> ts.AutoEncoder:
    return _InterruptedModel(model.spec, model.settings, model._encoder.network, None)


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
