"""From state dicts, files and names to a model and its figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.models import variant_named

Models = Callable[..., ts.AutoEncoder]


@pytest.mark.parametrize(
    ("name", "channels", "scale", "halo"),
    [("taesd", 4, 8, 19), ("taesd3", 16, 8, 19), ("taesana", 32, 32, 20), ("taef2", 32, 8, None)],
)
def test_a_models_figures(
    name: str, channels: int, scale: int, halo: int | None, model: Models
) -> None:
    spec = model(name).spec
    assert (spec.name, spec.latent_channels, spec.spatial_scale) == (name, channels, scale)
    assert (spec.halo, spec.temporal_scale) == (halo, 1)
    assert spec.can_decode
    assert spec.can_encode
    assert (spec.encoder_halo is None) == (halo is None)


def tiny_state() -> dict[str, torch.Tensor]:
    shapes = variant_named("taesd3").decoder().shapes()
    return {name: torch.full(shape, 1e-3) for name, shape in shapes.items()}


def test_the_variant_decides_between_models_of_equal_shapes() -> None:
    assert ts.load(tiny_state(), device="cpu").spec.name == "taesd3"
    loaded = ts.load(tiny_state(), variant="taef1", device="cpu")
    assert (loaded.spec.name, loaded.spec.halo) == ("taef1", 19)
    with pytest.raises(ts.CheckpointError, match=r"expected taesd, but its decoder's 1\.weight"):
        ts.load(tiny_state(), variant="taesd", device="cpu")


def test_a_file_is_loaded_as_its_state_dict_is(tmp_path: Path) -> None:
    path = tmp_path / "taef1_decoder.safetensors"
    save_file(tiny_state(), path)
    latents = torch.ones(1, 16, 2, 2)
    loaded = ts.load(path, device="cpu")
    assert loaded.spec.name == "taef1"
    assert torch.equal(loaded.decode(latents), ts.load(tiny_state(), device="cpu").decode(latents))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_callers_weights_are_left_alone(dtype: str) -> None:
    state: dict[str, torch.Tensor] = {
        name: torch.nn.Parameter(tensor) for name, tensor in tiny_state().items()
    }
    ts.load(state, device="cpu", dtype=dtype)
    for name, tensor in tiny_state().items():
        assert torch.equal(state[name], tensor)
        assert state[name].dtype == torch.float32
        assert state[name].requires_grad


def test_a_name_that_is_nothing_is_refused_in_one_line() -> None:
    with pytest.raises(ts.ModelNotFoundError, match="found 'no_such_model', which is") as caught:
        ts.load("no_such_model", device="cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(ts.ModelNotFoundError, match=r"weights/none\.pth"):
        ts.load("weights/none.pth", device="cpu")


def test_settings_are_checked_before_anything_is_read() -> None:
    with pytest.raises(ts.InputError, match="dtype"):
        ts.load("no_such_model", dtype="int4")


def test_the_built_in_model_needs_no_file() -> None:
    ae = ts.load("LATENT2RGB", device="cpu")
    assert ae.spec.halo is not None
    assert ae.decode(torch.zeros(1, 4, 1, 1)).shape == (1, 3, 8, 8)
