"""The small decoder inside the package: what it is, and that it makes pictures."""

from __future__ import annotations

import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.jobs.model_for_latents import default_model
from taesd_stream.models import packaged_weights, variant_named
from taesd_stream.samples import sample_path


def test_it_is_small_and_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("nano asked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    ae = ts.load("nano", device="cpu")
    assert ae.spec.can_decode
    assert ae.spec.can_encode
    assert (ae.spec.latent_channels, ae.spec.spatial_scale) == (4, 8)
    assert packaged_weights("nano").stat().st_size < 2**20
    parameters = sum(tensor.numel() for tensor in variant_named("nano").decoder().parameters())
    assert 300_000 < parameters < 500_000


def test_its_file_says_what_it_is(tmp_path: Path) -> None:
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes(packaged_weights("nano").read_bytes())
    assert ts.load(copy, device="cpu").spec.name == "nano"


def test_it_is_never_chosen_for_another() -> None:
    assert default_model(4) == "taesd"


def test_the_sample_is_no_mere_blur_of_its_linear_map() -> None:
    """The colours of the linear map, and edges that it has not."""
    with ts.open_latents(sample_path()) as source:
        latent = source[0:1]
    nano, linear = (_greys(ts.load(name, device="cpu").decode(latent)) for name in MODELS)
    assert abs(float(nano.mean() - linear.mean())) < 0.08
    assert _steepest(nano) > 1.5 * _steepest(linear)


MODELS = ("nano", "latent2rgb")


def _greys(pictures: Tensor) -> Tensor:
    return pictures.mean(dim=1)


def _steepest(greys: Tensor) -> float:
    """What one step in a thousand, from a pixel to the next, is above."""
    steps = torch.cat([greys.diff(dim=1).flatten(), greys.diff(dim=2).flatten()])
    return float(steps.abs().quantile(0.999))


@pytest.mark.parametrize(("name", "least_db"), [("astronaut", 25), ("coffee", 25)])
def test_photographs_it_was_not_trained_on(shared: Path, name: str, least_db: float) -> None:
    """From the teacher's latents, nearer to the photograph than the teacher's own preview."""
    pytest.importorskip("openvino")
    from training.teacher import Encoder, Preview

    read = cv2.imread(str(shared / "media" / f"{name}.png"))
    height, width = (side // 8 * 8 for side in read.shape[:2])
    planes = read[:height, :width, ::-1].transpose(2, 0, 1)[None] / 255
    picture = np.asarray(planes, np.float32)
    latents = Encoder(shared / "teacher")(picture)
    made = ts.load("nano", device="cpu", dtype="float32").decode(torch.from_numpy(latents)).numpy()
    assert _psnr(made, picture) > least_db
    assert _psnr(made, picture) > _psnr(Preview(shared / "teacher")(latents), picture)
    assert _psnr(made, picture) > 3 + _psnr(
        ts.load("latent2rgb", device="cpu").decode(torch.from_numpy(latents)).numpy(), picture
    )


def _psnr(made: np.ndarray, picture: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((made.astype(np.float64) - picture) ** 2)))


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_a_photograph_comes_back_from_its_own_latents(shared: Path, name: str) -> None:
    read = cv2.imread(str(shared / "media" / f"{name}.png"))[:256, :256, ::-1]
    picture = np.asarray(read.transpose(2, 0, 1)[None] / 255, np.float32)
    ae = ts.load("nano", device="cpu", dtype="float32")
    made = ae.decode(ae.encode(torch.from_numpy(picture))).numpy()
    assert _psnr(made, picture) > 24
