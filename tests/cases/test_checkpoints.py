"""Checkpoints in the forms that people have them in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.models.weights.checkpoint import read_checkpoint
from tests.cases.official_weights import StateDict, official


@pytest.fixture(scope="module")
def taesd() -> StateDict:
    return official("taesd")


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def expected(taesd: StateDict, latents: torch.Tensor) -> torch.Tensor:
    return ts.load(taesd, device="cpu", backend="torch").decode(latents)


PREFIXES = (
    *("tae.", "vae.", "first_stage_model.", "taesd.", "taehv.", "model.", "autoencoder."),
    *("module.", "_orig_mod.", "model.vae.", "net.tiny."),
)


WRAPPERS = (
    *("model", "params", "params_ema", "ema", "model_state_dict", "state_dict", "generator"),
)


def beside(state: object, key: str) -> dict[str, Any]:
    """What trainers save: weights beside an optimizer, its state and numbers."""
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(64, 4, 3, 3)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    return {"epoch": 7, "global_step": torch.tensor(900), key: state, "optimizer": optimizer}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(
    taesd: StateDict, latents: torch.Tensor, expected: torch.Tensor, prefix: str
) -> None:
    state = {prefix + key: tensor for key, tensor in taesd.items()}
    found = ts.load(state, device="cpu", backend="torch")
    assert torch.equal(found.decode(latents), expected)
    assert found.spec.can_encode


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_beside_what_a_trainer_keeps(
    tmp_path: Path,
    taesd: StateDict,
    latents: torch.Tensor,
    expected: torch.Tensor,
    wrapper: str,
) -> None:
    torch.save(beside(taesd, wrapper), tmp_path / "taesd.pth")
    found = ts.load(tmp_path / "taesd.pth", device="cpu", backend="torch")
    assert torch.equal(found.decode(latents), expected)


def test_what_lies_beside_is_named_in_the_log(
    taesd: StateDict, caplog: pytest.LogCaptureFixture
) -> None:
    beside_it = {"discriminator.0.weight": torch.zeros(8, 3, 3, 3), "loss.logvar": torch.zeros(9)}
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        found = read_checkpoint(beside(taesd | beside_it, "state_dict"))
    assert found.encoder is not None
    assert "(discriminator, epoch, global_step, loss, optimizer)" in caplog.messages[0]


def test_halves_in_mappings_of_their_own(taesd: StateDict) -> None:
    halves: dict[str, StateDict] = {"encoder": {}, "decoder": {}}
    for key, tensor in taesd.items():
        role, _, rest = key.partition(".")
        halves[role][rest] = tensor
    for given in (halves, {"model": halves, "step": 3}):
        found = read_checkpoint(given)  # type: ignore[arg-type]
        assert found.encoder is not None
        assert found.decoder is not None


@pytest.mark.parametrize("averaged", ["params_ema", "ema", "model_ema"])
def test_the_averaged_weights_are_taken_and_it_is_said(
    taesd: StateDict, caplog: pytest.LogCaptureFixture, averaged: str
) -> None:
    raw = {key: torch.zeros_like(tensor) for key, tensor in taesd.items()}
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        found = read_checkpoint({"params": raw, averaged: taesd})  # type: ignore[dict-item]
    assert found.decoder is not None
    assert torch.equal(found.decoder["1.weight"], taesd["decoder.1.weight"])
    assert f"took the averaged weights, '{averaged}.', not 'params.'" in caplog.messages[0]


def test_two_models_in_one_file_are_a_question(taesd: StateDict) -> None:
    with pytest.raises(ts.CheckpointError, match=r"the names of 2, beginning with 'a\.', 'b\.'"):
        read_checkpoint({"a": taesd, "b": taesd})  # type: ignore[dict-item]


def test_layers_of_a_full_vae_beside_are_refused(taesd: StateDict) -> None:
    with pytest.raises(ts.CheckpointError, match=r"'post_quant_conv\.weight'; this looks like a f"):
        read_checkpoint(taesd | {"post_quant_conv.weight": torch.zeros(4, 4, 1, 1)})


def test_diffusers_halves_alone(taesd: StateDict) -> None:
    """AutoencoderTiny's encoder or decoder, saved by itself: ``layers.0.weight``."""
    for role, shift in (("encoder", 0), ("decoder", 1)):
        state = {}
        for key, tensor in taesd.items():
            half, number, *rest = key.split(".")
            if half == role:
                state[".".join(["layers", str(int(number) - shift), *rest])] = tensor
        found = read_checkpoint(state)
        half = found.encoder if role == "encoder" else found.decoder
        assert half is not None
        assert {f"{role}.{key}" for key in half} == {k for k in taesd if k.startswith(role)}


def test_the_legacy_pickle_format(
    tmp_path: Path, taesd: StateDict, latents: torch.Tensor, expected: torch.Tensor
) -> None:
    path = tmp_path / "taesd.pth"
    torch.save(beside(taesd, "model"), path, _use_new_zipfile_serialization=False)
    found = ts.load(path, device="cpu", backend="torch")
    assert torch.equal(found.decode(latents), expected)


class _Damage:
    def __reduce__(self) -> tuple[Any, ...]:
        return (torch._utils._rebuild_parameter, (3, False, {}))


def test_a_legacy_file_whose_values_are_no_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"1.weight": _Damage()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ts.CheckpointError, match=r"a\.pth: expected"):
        read_checkpoint(path)
    whole = path.read_bytes()
    for cut in range(120, len(whole), 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(ts.CheckpointError):
            read_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_float8_weights(tmp_path: Path, taesd: StateDict, dtype: torch.dtype, suffix: str) -> None:
    state = {key: tensor.to(dtype) for key, tensor in taesd.items()}
    path = tmp_path / f"taesd{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    found = read_checkpoint(path)
    assert found.decoder is not None
    wide = state["decoder.3.conv.0.weight"].to(torch.float32)
    assert torch.equal(found.decoder["3.conv.0.weight"], wide)


@pytest.mark.parametrize("name", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("axes", [None, (1, 2, 3)])
def test_float8_weights_with_scales(
    taesd: StateDict, name: str, axes: tuple[int, ...] | None
) -> None:
    """As ComfyUI writes them: a scale beside each weight, or for its channels, and a marker."""
    state: StateDict = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for key, tensor in taesd.items():
        if key.endswith(".weight"):
            scale = tensor.abs().amax(axes, keepdim=axes is not None) / 448
            state[key] = (tensor / scale).to(torch.float8_e4m3fn)
            state[f"{key.removesuffix('weight')}{name}"] = scale.flatten() if axes else scale
        else:
            state[key] = tensor
    found = read_checkpoint(state)
    assert found.decoder is not None
    for key in ("1.weight", "19.weight"):
        error = found.decoder[key] - taesd[f"decoder.{key}"]
        assert error.abs().max() < 0.04 * taesd[f"decoder.{key}"].abs().max()
    state[f"decoder.1.{name}"] = torch.ones(3)
    with pytest.raises(ts.CheckpointError, match=r"scale of 'decoder.1.weight'.*found \[3\]"):
        read_checkpoint(state)
