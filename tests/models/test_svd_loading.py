"""AutoencoderKLTemporalDecoder is known by its layers, from wherever it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.models import variant_named

diffusers = pytest.importorskip("diffusers", reason="needs diffusers, to compare with")


def temporal_vae(*widths: int, blocks: int = 2) -> Any:
    torch.manual_seed(len(widths))
    return diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=widths,
        layers_per_block=blocks,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
    ).eval()


@pytest.fixture(scope="module")
def vae() -> Any:
    """As many scales as Stable Video Diffusion's, and narrow."""
    return temporal_vae(32, 32, 32, 32)


@torch.no_grad()
def assert_computes_as(ae: ts.AutoEncoder, vae: Any) -> None:
    latents = torch.randn(3, 4, 2, 3)
    expected = vae.decode(latents, num_frames=3).sample / 2 + 0.5
    made = ae.decode(latents, convention="vae")
    assert torch.allclose(made, expected.clamp(0, 1), atol=1e-4)


def test_a_folder_a_module_and_a_state_dict(tmp_path: Path, vae: Any) -> None:
    vae.save_pretrained(tmp_path / "vae")
    for source in (tmp_path / "vae", tmp_path, vae, vae.state_dict()):
        ae = ts.load(source, device="cpu")
        assert (ae.spec.name, ae.spec.spatial_scale, ae.spec.convention) == ("svd-vae", 8, "vae")
        assert_computes_as(ae, vae)


def test_a_decoder_alone(tmp_path: Path, vae: Any) -> None:
    part = {key: each for key, each in vae.state_dict().items() if key.startswith("decoder.")}
    save_file(part, tmp_path / "decoder.safetensors")
    ae = ts.load(tmp_path / "decoder.safetensors", device="cpu")
    assert ae.spec.name == "svd-vae"
    assert_computes_as(ae, vae)


def test_another_scale_of_latents(tmp_path: Path, vae: Any) -> None:
    vae.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.5}))
    assert ts.load(tmp_path, device="cpu").spec.name == "kl-vae"


def test_real_shapes_are_those_of_diffusers() -> None:
    with torch.device("meta"):
        vae = temporal_vae(128, 256, 512, 512)
    variant = variant_named("svd-vae")
    ours = {f"decoder.{name}": shape for name, shape in variant.decoder().shapes().items()}
    theirs = {
        name: tuple(each.shape)
        for name, each in vae.state_dict().items()
        if name.startswith("decoder.")
    }
    assert ours == theirs


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_middle_of_another_depth_is_refused(blocks: int) -> None:
    vae = temporal_vae(32, blocks=blocks)
    with pytest.raises(
        ts.CheckpointError, match=r"decoded in chunks of frames.*mid_block\.resnets"
    ):
        ts.load(vae.state_dict(), device="cpu")


def test_a_decoder_of_pictures_is_another(vae: Any) -> None:
    with pytest.raises(ts.CheckpointError, match="expected sd-vae"):
        ts.load(vae.state_dict(), variant="sd-vae", device="cpu")
