"""From state dicts, files and names to a model and its figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.engine.load import outline
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions
from taesd_stream.models import Network, Variant, variant_named
from taesd_stream.models.weights import variant_detection
from tests.narrow_models import narrowed

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


@pytest.mark.parametrize(
    ("name", "channels", "scale", "frames", "back", "frames_back", "first"),
    [
        ("taesdv", 4, 8, 1, 10, 0, 1),
        ("taehv", 16, 8, 4, 8, 30, 1),
        ("taecvx", 16, 8, 4, 8, 30, 1),
        ("taew2_2_super", 48, 16, 4, 8, 30, 1),
        ("taeltx_2", 128, 32, 8, 6, 42, 1),
        ("taeh3", 24, 16, 4, 8, 30, 2),
        ("taem1", 12, 8, 6, 8, 45, 1),
    ],
)
def test_a_video_models_figures(
    *,
    name: str,
    channels: int,
    scale: int,
    frames: int,
    back: int,
    frames_back: int,
    first: int,
    model: Models,
) -> None:
    spec = model(name).spec
    assert (spec.name, spec.latent_channels, spec.spatial_scale) == (name, channels, scale)
    assert (spec.temporal_scale, spec.latents_back, spec.frames_back) == (frames, back, frames_back)
    assert (spec.first_frame_after, spec.can_decode, spec.can_encode) == (first, True, True)


def video_state(name: str, variant: Variant | None = None) -> dict[str, torch.Tensor]:
    """A decoder's weights, small numbers that are not all alike."""
    generator = torch.Generator().manual_seed(0)
    shapes = (variant or variant_named(name)).decoder().shapes()
    return {
        f"decoder.{key}": torch.randn(shape, generator=generator) / 30
        for key, shape in shapes.items()
    }


def test_shapes_that_models_of_different_frames_share_need_a_name(tmp_path: Path) -> None:
    state = video_state("taehv")
    save_file(state, tmp_path / "taecvx.safetensors")
    for source, hint in ((state, ""), (tmp_path / "taecvx.safetensors", "suggests taecvx")):
        with pytest.raises(ts.CheckpointError, match=r"--variant \(variant= in Python\)") as caught:
            ts.load(source, device="cpu")
        for name in ("taehv", "taew2_1", "taeos1_3", "taecvx", hint):
            assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ts.CheckpointError, match=r"expected taew2_2, .*fit taehv, taew2_1, taeos"):
        ts.load(state, variant="taew2_2", device="cpu")
    latents = torch.zeros(1, 2, 16, 1, 1)
    frames = {
        name: ts.load(state, variant=name, device="cpu").decode(latents).shape[1]
        for name in ("taehv", "taew2_1", "taeos1_3", "taecvx")
    }
    assert frames == {"taehv": 5, "taew2_1": 5, "taeos1_3": 5, "taecvx": 8}


@pytest.mark.parametrize(("name", "patch"), [("taehv", 1), ("taeh3", 2), ("taeltx_2", 4)])
def test_a_reduced_model_makes_fewer_or_smaller_frames(
    name: str, patch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of latents with as many channels as layers are wide there is no narrow one.
    variant = variant_named(name) if name == "taeltx_2" else narrowed(name)
    monkeypatch.setattr(variant_detection, "variant_named", lambda _: variant)
    state = video_state(name, variant)
    channels, scale = variant_named(name).latent_channels, variant_named(name).spatial_scale
    latents = torch.randn(1, 7, channels, 2, 3, generator=torch.Generator().manual_seed(0))
    whole = ts.load(state, variant=name, device="cpu")
    slow = ts.load(state, variant=name, device="cpu", time_upscale=False)
    small = ts.load(state, variant=name, device="cpu", space_upscale=False)
    least = ts.load(state, variant=name, device="cpu", time_upscale=False, space_upscale=False)
    frames = whole.spec.timing.frames(7)
    assert whole.decode(latents).shape == (1, frames, 3, 2 * scale, 3 * scale)
    assert slow.decode(latents).shape == (1, 7, 3, 2 * scale, 3 * scale)
    assert small.decode(latents).shape == (1, frames, 3, 2 * patch, 3 * patch)
    assert least.decode(latents).shape == (1, 7, 3, 2 * patch, 3 * patch)
    assert (slow.spec.temporal_scale, slow.spec.spatial_scale) == (1, scale)
    assert (least.spec.temporal_scale, least.spec.spatial_scale) == (1, patch)
    works = [ae.plan((channels, 20, 30)).undivided_work for ae in (whole, slow, small, least)]
    assert works == sorted(works, reverse=True)


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("latent2rgb", {"time_upscale": False}, "time upscale: latent2rgb cannot do without"),
        ("taesd3", {"space_upscale": False}, "space upscale: taesd3 cannot do without"),
        ("taew2_2_super", {"space_upscale": False}, "space upscale: taew2_2_super cannot"),
        ("taesdv", {"time_upscale": False}, "time upscale: taesdv cannot do without"),
    ],
)
def test_a_model_that_cannot_do_with_less_is_refused_and_others_named(
    source: str, options: dict[str, bool], said: str
) -> None:
    weights = source if source == "latent2rgb" else video_state(source)
    with pytest.raises(ts.InputError, match=said) as caught:
        ts.load(weights, device="cpu", **options)
    assert "\n" not in str(caught.value)
    assert "taehv" in str(caught.value)
    with pytest.raises(ts.InputError, match=said):
        outline(source, ModelOptions(device="cpu", **options))


def test_only_the_half_that_is_used_has_its_weights_ordered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ordered: list[Network] = []

    def noting(network: Network) -> None:
        ordered.append(network)

    monkeypatch.setattr(Network, "order_weights", noting)
    ae = ts.load("nano", device="cpu", backend="torch")
    assert ordered == []
    for _ in range(2):
        ae.decode(torch.zeros(1, 4, 2, 2))
    assert ordered == [coder_of(ae, "decode").network]
