"""Checkpoints from files, pairs of files, folders of several kinds, and memory."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.checkpoint import Checkpoint, read_checkpoint

StateDict = dict[str, torch.Tensor]


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


def combined() -> StateDict:
    return {
        f"{role}.{key}": tensor
        for role in ("encoder", "decoder")
        for key, tensor in tiny(role).items()
    }


def save(state: StateDict, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def half(checkpoint: Checkpoint, role: str) -> StateDict:
    found = checkpoint.encoder if role == "encoder" else checkpoint.decoder
    assert found is not None
    return found


def with_prefixes(checkpoint: Checkpoint) -> StateDict:
    return {
        f"{role}.{key}": tensor
        for role in ("encoder", "decoder")
        for key, tensor in half(checkpoint, role).items()
    }


def assert_same(found: StateDict | None, expected: StateDict) -> None:
    assert found is not None
    assert set(found) == set(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor), key


@pytest.fixture(scope="module")
def synthetic_taesd(shared: Path) -> StateDict:
    """The full official state dict of taesd, with prefixes, of synthetic weights."""
    manifest = json.loads((shared / "goldens/manifest.json").read_text())
    path = shared / "goldens/synthetic_weights.py"
    spec = importlib.util.spec_from_file_location("synthetic_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arrays = module.synthetic_state_dict(manifest["taesd"])
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


# --- one half in a file, and its sibling -----------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".bin"])
@pytest.mark.parametrize("role", ["encoder", "decoder"])
def test_bare_file_is_told_by_its_shapes_not_its_name(
    tmp_path: Path, role: str, suffix: str
) -> None:
    state = tiny(role)
    checkpoint = read_checkpoint(save(state, tmp_path / f"weights{suffix}"))
    assert_same(half(checkpoint, role), state)
    assert (checkpoint.encoder is None) != (checkpoint.decoder is None)
    assert checkpoint.stem_hint == "weights"
    assert checkpoint.origin == str(tmp_path / f"weights{suffix}")


def test_a_misleading_name_does_not_decide(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(save(tiny("decoder"), tmp_path / "my_encoder.pth"))
    assert checkpoint.encoder is None
    assert checkpoint.decoder is not None


@pytest.mark.parametrize("given", ["encoder", "decoder"])
@pytest.mark.parametrize("sibling_suffix", [".safetensors", ".pth", ".pt", ".bin"])
def test_sibling_is_read_along(tmp_path: Path, given: str, sibling_suffix: str) -> None:
    other = "decoder" if given == "encoder" else "encoder"
    states = {given: tiny(given), other: tiny(other)}
    path = save(states[given], tmp_path / f"decoder of x/tae_{given}_v2.pth")
    save(states[other], tmp_path / f"decoder of x/tae_{other}_v2{sibling_suffix}")
    checkpoint = read_checkpoint(str(path))
    assert_same(checkpoint.encoder, states["encoder"])
    assert_same(checkpoint.decoder, states["decoder"])
    assert checkpoint.stem_hint == f"tae_{given}_v2"
    assert checkpoint.origin == f"{path} and tae_{other}_v2{sibling_suffix}"


def test_sibling_of_the_same_suffix_is_preferred(tmp_path: Path) -> None:
    path = save(tiny("decoder"), tmp_path / "a_decoder.pth")
    same, other = tiny("encoder"), tiny("encoder")
    save(same, tmp_path / "a_encoder.pth")
    save(other, tmp_path / "a_encoder.safetensors")
    assert_same(read_checkpoint(path).encoder, same)


def test_broken_sibling_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = save(tiny("decoder"), tmp_path / "a_decoder.pth")
    (tmp_path / "a_encoder.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"a_encoder\.pth: .*empty file"):
        read_checkpoint(path)
    save(tiny("decoder"), tmp_path / "a_encoder.pth")
    with pytest.raises(CheckpointError, match=r"a_encoder\.pth: expected the encoder"):
        read_checkpoint(path)


def test_official_files(shared: Path) -> None:
    checkpoint = read_checkpoint(shared / "weights/taef2_decoder.pth")
    stored = torch.load(shared / "weights/taef2_decoder.pth", weights_only=True)
    assert_same(checkpoint.decoder, dict(stored))
    stored = torch.load(shared / "weights/taef2_encoder.pth", weights_only=True)
    assert_same(checkpoint.encoder, dict(stored))
    assert half(checkpoint, "decoder")["3.pool.0.weight"].dtype == torch.float16
    alone = read_checkpoint(shared / "weights/taesana_encoder.pth")
    assert alone.decoder is None
    assert half(alone, "encoder")["0.weight"].shape == (32, 3, 3, 3)


def test_weights_do_not_depend_on_the_file_afterwards(tmp_path: Path) -> None:
    state = tiny("decoder")
    path = save(state, tmp_path / "weights.pth")
    checkpoint = read_checkpoint(path)
    with path.open("r+b") as stream:
        stream.write(b"\xff" * path.stat().st_size)
    assert_same(checkpoint.decoder, state)


def test_state_dict_in_memory() -> None:
    state = combined()
    checkpoint = read_checkpoint(state)
    assert_same(with_prefixes(checkpoint), state)
    assert checkpoint.stem_hint is None
    assert checkpoint.origin == "the given state dict"


# --- diffusers -------------------------------------------------------------------------------


def as_diffusers(official: StateDict) -> StateDict:
    """The inverse renaming, written apart from the code under test."""
    renamed = {}
    for key, tensor in official.items():
        role, number, *rest = key.split(".")
        shifted = int(number) - (1 if role == "decoder" else 0)
        renamed[".".join([role, "layers", str(shifted), *rest])] = tensor
    return renamed


def write_config(folder: Path, **changes: object) -> None:
    config = {"_class_name": "AutoencoderTiny", "act_fn": "relu", "latent_channels": 4}
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    "weights",
    [
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.bin",
        "diffusion_pytorch_model.fp16.bin",
    ],
)
@pytest.mark.parametrize("inside", ["my-taesd", "my-taesd/vae"])
def test_diffusers_folder(tmp_path: Path, weights: str, inside: str) -> None:
    official = combined()
    home = tmp_path / inside
    path = save(as_diffusers(official), home / weights)
    write_config(home)
    for source in (tmp_path / "my-taesd", home, path):
        checkpoint = read_checkpoint(source)
        assert_same(with_prefixes(checkpoint), official)
        assert checkpoint.stem_hint == "my-taesd"
        assert checkpoint.origin == str(path)


def test_whole_model_in_a_diffusers_folder(tmp_path: Path, synthetic_taesd: StateDict) -> None:
    save(as_diffusers(synthetic_taesd), tmp_path / "diffusion_pytorch_model.safetensors")
    write_config(tmp_path)
    assert_same(with_prefixes(read_checkpoint(tmp_path)), synthetic_taesd)


def test_full_safetensors_are_preferred_in_a_diffusers_folder(tmp_path: Path) -> None:
    wanted = as_diffusers(combined())
    halves = {key: tensor.half() for key, tensor in wanted.items()}
    save(halves, tmp_path / "diffusion_pytorch_model.fp16.safetensors")
    save(halves, tmp_path / "diffusion_pytorch_model.bin")
    save(wanted, tmp_path / "diffusion_pytorch_model.safetensors")
    # The published repositories hold the official files beside.
    save(tiny("decoder"), tmp_path / "taesd_decoder.safetensors")
    checkpoint = read_checkpoint(tmp_path)
    assert torch.equal(half(checkpoint, "decoder")["1.weight"], wanted["decoder.layers.0.weight"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_class_name", "AutoencoderKLWan"),
        ("act_fn", "silu"),
        ("upsample_fn", "bilinear"),
        ("upsampling_scaling_factor", 4),
    ],
)
def test_what_diffusers_would_compute_otherwise_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    save(as_diffusers(combined()), tmp_path / "diffusion_pytorch_model.safetensors")
    write_config(tmp_path, **{key: value})
    with pytest.raises(CheckpointError, match=rf"config\.json: expected {key} .*found {value!r}"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{", "\xff"])
def test_broken_config(tmp_path: Path, text: str) -> None:
    save(as_diffusers(combined()), tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"config\.json: expected"):
        read_checkpoint(tmp_path)


# --- folders of loose files ------------------------------------------------------------------


def test_folder_of_official_files(tmp_path: Path) -> None:
    encoder, decoder = tiny("encoder"), tiny("decoder")
    save(encoder, tmp_path / "taesd_encoder.pth")
    save(decoder, tmp_path / "taesd_decoder.pth")
    (tmp_path / "README.md").write_text("weights")
    checkpoint = read_checkpoint(tmp_path)
    assert_same(checkpoint.encoder, encoder)
    assert_same(checkpoint.decoder, decoder)
    assert checkpoint.stem_hint == "taesd_decoder"


def test_the_same_model_in_two_formats_is_one_model(tmp_path: Path) -> None:
    wanted = tiny("decoder")
    save(tiny("decoder"), tmp_path / "x.pth")
    save(wanted, tmp_path / "x.safetensors")
    assert_same(read_checkpoint(tmp_path).decoder, wanted)


def test_several_models_in_a_folder_are_listed(tmp_path: Path) -> None:
    for name in ("taesd_decoder.pth", "taesdxl_decoder.pth", "taehv.pth"):
        (tmp_path / name).write_bytes(b"unread")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path)
    assert "found 3 files (taehv.pth, taesd_decoder.pth, taesdxl_decoder.pth)" in str(caught.value)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found none"):
        read_checkpoint(tmp_path)


def test_a_symlinked_pair_finds_its_sibling_beside_the_link(tmp_path: Path) -> None:
    for number, role in enumerate(("encoder", "decoder")):
        blob = save(tiny(role), tmp_path / f"blobs/{number}.pth")
        (tmp_path / f"a_{role}.pth").symlink_to(blob)
    assert read_checkpoint(tmp_path / "a_decoder.pth").encoder is not None
    shutil.rmtree(tmp_path / "blobs")
    with pytest.raises(CheckpointError, match=r"a_decoder\.pth: expected"):
        read_checkpoint(tmp_path / "a_decoder.pth")


@pytest.mark.parametrize("name", ["sd_frames.pt", "sd_ncthw.pt", "flux2_clip.safetensors"])
def test_real_latents_are_recognised(shared: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="looks like a latents file"):
        read_checkpoint(shared / "latents" / name)
