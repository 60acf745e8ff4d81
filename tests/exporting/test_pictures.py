"""Exported models for pictures make what the engine makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models import VARIANTS, packaged_weights
from taesd_stream.models.architectures import taesd_decoder
from tests.exporting.step_by_step import run, session_of

Exported = Callable[..., tuple[ts.AutoEncoder, Any]]

DECODERS = [
    *("taesd", "taesd3", "taef2", "taesana", "taeqi2_1", "nano"),
    *("latent2rgb", "latent2rgb_flux1"),
]
ENCODERS = ["taesd", "taef2", "taesana", "taeqi2_1", "nano", "taesdv"]


def test_these_are_all_layers_of_models_for_pictures() -> None:
    tiny = {each.name for each in VARIANTS if each.timing.growth == 1 and not each.is_fine}
    others = tiny - {*DECODERS, "taesdv"}
    assert others == {
        *("taesdxl", "taef1", "hybrid-sd-tinyvae", "hybrid-sd-tinyvae-xl"),  # as taesd and taesd3
        "latent2rgb_sd3",
    }


def random(*sizes: int) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(sum(sizes)))


def assert_near(made: Any, expected: Tensor, tolerance: float = 1e-5) -> None:
    span = float(expected.max() - expected.min())
    torch.testing.assert_close(torch.from_numpy(made), expected, atol=tolerance * span, rtol=0)


@pytest.mark.parametrize("name", DECODERS)
def test_decoders(name: str, exported: Exported) -> None:
    ae, session = exported(name)
    for batch, height, width in ((2, 7, 5), (1, 1, 4), (1, 12, 9)):
        latents = random(batch, ae.spec.latent_channels, height, width)
        made = run(session, latents=latents.numpy())["images"]
        assert_near(made.clip(0, 1), ae.decode(latents, tile=None))


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders(name: str, exported: Exported) -> None:
    ae, session = exported(name, "encoder")
    for batch, height, width in ((2, 41, 50), (1, 3, 64)):
        images = random(batch, ae.spec.image_channels, height, width).sigmoid()
        made = run(session, images=images.numpy())["latents"]
        assert_near(made, ae.encode(images, tile=None))


@pytest.mark.parametrize("half", ["decoder", "encoder"])
def test_official_weights(half: Any, shared: Path, tmp_path: Path) -> None:
    path = shared / "weights" / f"taef2_{half}.pth"
    ae = ts.load(path, device="cpu", backend="torch", variant="taef2")
    ts.export(ae, tmp_path / "a.onnx", half=half)
    session = session_of(tmp_path / "a.onnx")
    if half == "decoder":
        latents = random(1, 32, 11, 6)
        made = run(session, latents=latents.numpy())["images"].clip(0, 1)
        assert_near(made, ae.decode(latents, tile=None))
    else:
        images = random(1, 3, 43, 60).sigmoid()
        assert_near(run(session, images=images.numpy())["latents"], ae.encode(images, tile=None))


def test_a_tile_with_its_halo_is_the_same_inside(exported: Exported) -> None:
    _, session = exported("nano")
    known = session.get_modelmeta().custom_metadata_map
    halo, scale = int(known["halo"]), int(known["scale"])
    latents = random(1, 4, 40, 40).numpy()
    whole = run(session, latents=latents)["images"]
    tile = run(session, latents=latents[:, :, 18 - halo : 24 + halo, : 10 + halo])["images"]
    inside = tile[:, :, scale * halo : scale * (halo + 6), : scale * 10]
    expected = whole[:, :, scale * 18 : scale * 24, : scale * 10]
    np.testing.assert_allclose(inside, expected, atol=1e-5)


def test_the_operators_of_taesd(tmp_path: Path) -> None:
    weights = {key: torch.zeros(shape) for key, shape in taesd_decoder(4).shapes().items()}
    made = ts.export(
        {f"decoder.{key}": each for key, each in weights.items()},
        tmp_path / "a.onnx",
        variant="taesd",
    )
    assert set(made.operators) == {"Add", "Conv", "Div", "Mul", "Relu", "Resize", "Tanh"}
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 13)]
    names = {each.name for each in model.graph.initializer}
    # As the official checkpoint has them.
    assert {name for name in names if name.endswith((".weight", ".bias"))} == set(weights)


def test_half_the_precision(exported: Exported) -> None:
    ae, session = exported("taesd", dtype="float16")
    latents = random(1, 4, 6, 7)
    made = run(session, latents=latents.half().numpy())["images"]
    assert made.dtype == np.float16
    assert_near(made.astype(np.float32).clip(0, 1), ae.decode(latents, tile=None), 0.02)


def test_one_size_only(exported: Exported) -> None:
    ae, session = exported("taesd", static=(56, 40))
    assert session.get_inputs()[0].shape == [1, 4, 5, 7]
    assert session.get_outputs()[0].shape == [1, 3, 40, 56]
    latents = random(1, 4, 5, 7)
    made = run(session, latents=latents.numpy())["images"]
    assert_near(made.clip(0, 1), ae.decode(latents, tile=None))
    _, encoder = exported("taesd", "encoder", static=(50, 33))
    assert encoder.get_outputs()[0].shape == [1, 4, 5, 7]


def test_a_model_in_lower_precision_is_exported_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    ts.export(ts.load("nano", device="cpu", dtype="bfloat16", backend="torch"), path)
    kept = {each.name: each for each in onnx.load(path).graph.initializer}
    rounded = load_file(packaged_weights("nano"))["decoder.0.weight"].bfloat16().float()
    assert np.array_equal(onnx.numpy_helper.to_array(kept["0.weight"]), rounded.numpy())
