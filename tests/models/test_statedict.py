"""State dicts in every naming they come in, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.state_dict import Role, split_state_dict

StateDict = dict[str, torch.Tensor]
ROLES: tuple[Role, ...] = ("encoder", "decoder")


def tiny(role: str, channels: int = 4) -> StateDict:
    """The outer convolutions, and one inner one, of an officially numbered half."""
    if role == "encoder":
        return {
            "0.weight": torch.rand(64, 3, 3, 3),
            "1.conv.0.weight": torch.rand(8, 8, 3, 3),
            "14.weight": torch.rand(channels, 64, 3, 3),
        }
    return {
        "1.weight": torch.rand(64, channels, 3, 3),
        "3.conv.0.weight": torch.rand(8, 8, 3, 3),
        "19.weight": torch.rand(3, 64, 3, 3),
    }


def combined(prefixes: tuple[str, str] = ("encoder.", "decoder.")) -> StateDict:
    return {
        prefix + key: tensor
        for prefix in prefixes
        for key, tensor in tiny("encoder" if "encoder" in prefix else "decoder").items()
    }


def assert_same(found: StateDict | None, expected: StateDict) -> None:
    assert found is not None
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor), key


@pytest.fixture(scope="session")
def manifest() -> dict[str, Any]:
    path = Path(__file__).parents[1] / "data" / "goldens" / "manifest.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.mark.parametrize(
    ("before", "prefixes"),
    [
        ("", ("encoder.", "decoder.")),
        ("", ("taesd_encoder.", "taesd_decoder.")),
        ("module.", ("encoder.", "decoder.")),
        ("_orig_mod.module.", ("encoder.", "decoder.")),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_prefixes_and_wrappers(before: str, prefixes: tuple[str, str], wrapped: bool) -> None:
    state = combined(prefixes)
    given: Any = {before + key: tensor for key, tensor in state.items()}
    if wrapped:
        given = {"state_dict": given, "epoch": 3}
    halves = split_state_dict(given, "here")
    for role, prefix in zip(ROLES, prefixes, strict=True):
        expected = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
        assert_same(halves[role], expected)


def test_comfyui_scalars_are_no_layers() -> None:
    scalars = {"vae_scale": torch.tensor(0.18215), "vae_shift": torch.tensor([0.0])}
    halves = split_state_dict(combined(("taesd_encoder.", "taesd_decoder.")) | scalars, "here")
    assert set(halves["decoder"]) == set(tiny("decoder"))


VARIANTS = (
    *("taesd", "taesd3", "taef2", "taesana", "taesdv", "taehv", "taew2_2", "taehv1_5"),
    *("taew2_2_super", "taeltx_2", "taecvx", "taeh3", "taem1"),
)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_passes_through_unharmed(manifest: dict[str, Any], name: str) -> None:
    state = {key: torch.zeros(shape) for key, shape in manifest[name]["shapes"].items()}
    halves = split_state_dict(state, "here")
    found = {
        f"{role}.{key}": list(tensor.shape)
        for role in ROLES
        for key, tensor in halves[role].items()
    }
    assert found == manifest[name]["shapes"]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("role", ["encoder", "decoder"])
def test_every_variant_is_told_apart_without_prefixes(
    manifest: dict[str, Any], name: str, role: Role
) -> None:
    shapes = manifest[name]["shapes"].items()
    bare = {k.removeprefix(f"{role}."): torch.zeros(s) for k, s in shapes if k.startswith(role)}
    assert set(split_state_dict(bare, "here")[role]) == set(bare)


def test_a_parameter_becomes_a_plain_tensor() -> None:
    given = {key: torch.nn.Parameter(tensor) for key, tensor in tiny("decoder").items()}
    found = split_state_dict(given, "here")["decoder"]
    assert not any(t.requires_grad or isinstance(t, torch.nn.Parameter) for t in found.values())


def diffusers_modules(latent_channels: int) -> torch.nn.ModuleDict:
    """AutoencoderTiny's containers, laid out as diffusers lays them out; blocks reduced to keys."""

    def conv(inputs: int, outputs: int, bias: bool = True) -> torch.nn.Module:
        return torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

    def block() -> torch.nn.Module:
        relu = torch.nn.ReLU()
        layers = torch.nn.Sequential(conv(64, 64), relu, conv(64, 64), relu, conv(64, 64))
        return torch.nn.ModuleDict({"conv": layers})

    encoder: list[torch.nn.Module] = []
    for stage, blocks in enumerate((1, 3, 3, 3)):
        encoder.append(conv(64, 64, bias=False) if stage else conv(3, 64))
        encoder += [block() for _ in range(blocks)]
    encoder.append(conv(64, latent_channels))

    decoder: list[torch.nn.Module] = [conv(latent_channels, 64), torch.nn.ReLU()]
    for stage, blocks in enumerate((3, 3, 3, 1)):
        decoder += [block() for _ in range(blocks)]
        if stage == 3:
            decoder.append(conv(64, 3))
        else:
            decoder += [torch.nn.Upsample(scale_factor=2), conv(64, 64, bias=False)]
    return torch.nn.ModuleDict(
        {
            "encoder": torch.nn.ModuleDict({"layers": torch.nn.Sequential(*encoder)}),
            "decoder": torch.nn.ModuleDict({"layers": torch.nn.Sequential(*decoder)}),
        }
    )


@pytest.mark.parametrize(("name", "channels"), [("taesd", 4), ("taesd3", 16)])
def test_numbers_of_diffusers_modules_become_official(
    manifest: dict[str, Any], name: str, channels: int
) -> None:
    state = diffusers_modules(channels).state_dict()
    halves = split_state_dict(state, "here")
    found = {
        f"{role}.{key}": list(tensor.shape)
        for role in ROLES
        for key, tensor in halves[role].items()
    }
    assert found == manifest[name]["shapes"]


def nan_at(key: str, value: float) -> StateDict:
    state = tiny("decoder")
    state[key].view(-1)[5] = value
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (nan_at("3.conv.0.weight", float("nan")), r"found NaN or infinity in '3\.conv\.0\.weight'"),
        (nan_at("19.weight", float("-inf")), r"found NaN or infinity in '19\.weight'"),
        ({}, "found none"),
        (tiny("decoder") | {"5.bias": 3}, r"under '5\.bias', found a int"),
        (tiny("decoder") | {"5.bias": torch.arange(3)}, r"'5\.bias', found one of torch\.int64"),
        (tiny("decoder") | {"5.bias": np.zeros(3)}, r"'5\.bias', found a ndarray"),
        (tiny("decoder") | {"5.bias": torch.zeros(3, device="meta")}, "without plain data"),
        (tiny("decoder") | {"5.bias": torch.eye(3).to_sparse()}, "without plain data"),
        (tiny("decoder") | {"5.bias": torch.zeros(1).expand(2**40)}, "shapes that claim 4398"),
        (tiny("decoder") | {5: torch.zeros(3)}, "found the name 5"),
        ({"encoder.conv_in.weight": torch.zeros(3)}, "found 'encoder.conv_in.weight'; .*full VAE"),
        (combined() | {"extra": torch.zeros(3)}, "found 'extra'"),
        (combined() | {"taesd_decoder.1.weight": torch.zeros(3)}, "under two prefixes"),
        ({"decoder.layers.0.weight": torch.zeros(3), "decoder.2.bias": torch.zeros(3)}, "layers.0"),
        ({"0.weight": torch.zeros(64, 5, 3, 3)}, r"\[64, 5, 3, 3\]"),
        ({"3.conv.0.weight": torch.zeros(64, 64, 3, 3)}, "found none"),
        ({"latents": torch.zeros(9, 4, 8, 8)}, "looks like a latents file"),
        ({"samples": torch.zeros(9, 4, 8, 8)}, "looks like a latents file"),
    ],
)
def test_refused_state_dicts(state: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        split_state_dict(state, "here")
    assert "\n" not in str(caught.value)
