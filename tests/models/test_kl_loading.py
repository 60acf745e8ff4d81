"""AutoencoderKL under all its names and from all places, against diffusers' own computation."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.models import VARIANTS, latent_spaces, read_checkpoint, variant_named
from taesd_stream.models.network import Network

diffusers = pytest.importorskip("diffusers", reason="needs diffusers, to compare with")

StateDict = dict[str, torch.Tensor]

PLAIN = {"block_out_channels": (32, 64)}
OTHERS = {
    "of 16 channels": {
        "latent_channels": 16,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "block_out_channels": (8, 8, 16, 16),
        "layers_per_block": 2,
        "norm_num_groups": 8,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
    },
    "without attention": {"mid_block_add_attention": False, "block_out_channels": (32,)},
}


def full_vae(**sizes: Any) -> Any:
    """diffusers' AutoencoderKL of small sizes, with random weights."""
    sizes = PLAIN | sizes
    count = len(sizes["block_out_channels"])
    torch.manual_seed(count)
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * count,
        up_block_types=("UpDecoderBlock2D",) * count,
        **sizes,
    ).eval()
    for parameter in vae.parameters():
        parameter.data += torch.randn_like(parameter) / 50
    return vae


@pytest.fixture(scope="module")
def plain_vae() -> Any:
    return full_vae()


@pytest.fixture(scope="module")
def sd_like() -> Any:
    """As many channels and scales as Stable Diffusion's, and narrow."""
    return full_vae(block_out_channels=(32, 32, 32, 32))


def loaded(source: Any, **options: Any) -> ts.AutoEncoder:
    return ts.load(source, device="cpu", backend="torch", **options)


def halves(ae: ts.AutoEncoder) -> Iterator[Network]:
    for coder in ae.coders:
        assert coder is not None
        yield coder.network


@torch.no_grad()
def assert_computes_as(ae: ts.AutoEncoder, vae: Any) -> None:
    encoder, decoder = halves(ae)
    scale = ae.spec.spatial_scale
    latents = torch.randn(2, vae.config.latent_channels, 5, 6)
    pictures = torch.rand(2, 3, 4 * scale, 6 * scale)
    decoded = vae.decode(latents).sample / 2 + 0.5
    means = vae.encode(pictures * 2 - 1).latent_dist.mean
    for ours, theirs in ((decoder.plain(latents), decoded), (encoder.plain(pictures), means)):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.std() + 1))


def as_compvis(state: StateDict, scales: int, blocks: int) -> StateDict:
    """The names that CompVis gave these layers, from those of diffusers."""
    names = {"conv_norm_out": "norm_out", "conv_in": "conv_in", "conv_out": "conv_out"}
    names |= {f"mid_block.resnets.{i}": f"mid.block_{i + 1}" for i in (0, 1)}
    old = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    names |= {f"mid_block.attentions.0.{new}": f"mid.attn_1.{it}" for new, it in old.items()}
    for scale in range(scales):
        for block in range(blocks + 1):
            names[f"down_blocks.{scale}.resnets.{block}"] = f"down.{scale}.block.{block}"
            # The decoder's first scale is the one of pixels here, and the last one there.
            there = f"up_blocks.{scales - 1 - scale}.resnets.{block}"
            names[there] = f"up.{scale}.block.{block}"
        names[f"down_blocks.{scale}.downsamplers.0.conv"] = f"down.{scale}.downsample.conv"
        there = f"up_blocks.{scales - 1 - scale}.upsamplers.0.conv"
        names[there] = f"up.{scale}.upsample.conv"
    made: StateDict = {}
    for key, tensor in state.items():
        half, _, name = key.partition(".")
        if half not in ("encoder", "decoder"):
            made[key] = tensor
            continue
        begin = max((new for new in names if name.startswith(f"{new}.")), key=len)
        renamed = names[begin] + name.removeprefix(begin).replace("conv_shortcut", "nin_shortcut")
        is_matrix = ".attn_1." in renamed and tensor.dim() == 2
        made[f"{half}.{renamed}"] = tensor[..., None, None] if is_matrix else tensor
    return made


def prefixed(state: StateDict, prefix: str) -> StateDict:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


# --- from diffusers ---------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "vae"])
def test_a_folder_of_diffusers(tmp_path: Path, plain_vae: Any, inside: str) -> None:
    plain_vae.save_pretrained(tmp_path / inside)
    assert_computes_as(loaded(tmp_path), plain_vae)


@pytest.mark.parametrize("name", OTHERS)
def test_other_sizes(tmp_path: Path, name: str) -> None:
    vae = full_vae(**OTHERS[name])
    vae.save_pretrained(tmp_path)
    assert_computes_as(loaded(tmp_path), vae)


def test_half_precision_and_a_module(tmp_path: Path, plain_vae: Any) -> None:
    assert_computes_as(loaded(plain_vae), plain_vae)
    halved = full_vae().half()
    halved.save_pretrained(tmp_path, variant="fp16")
    assert_computes_as(loaded(tmp_path), halved.float())


def test_groups_of_a_module_are_those_of_its_config() -> None:
    vae = full_vae(block_out_channels=(12, 20), norm_num_groups=4)
    ae = loaded(vae)
    assert_computes_as(ae, vae)
    again = loaded(ae.decoder_module())
    assert again.spec.space.deviation == pytest.approx(ae.spec.space.deviation)
    latents = torch.randn(1, 4, 3, 3)
    (_, decoder), coder = halves(ae), again.coders[1]
    assert coder is not None
    assert torch.equal(coder.network.plain(latents), decoder.plain(latents))


def test_diffusers_old_names_of_attention(plain_vae: Any) -> None:
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, tensor in plain_vae.state_dict().items():
        new = next((new for new in old if f".{new}." in key), "to_q")
        state[key.replace(f".{new}.", f".{old[new]}.")] = tensor
    assert "decoder.mid_block.attentions.0.proj_attn.bias" in state
    assert_computes_as(loaded(state), plain_vae)


# --- under CompVis' names ---------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_original_names(plain_vae: Any, prefix: str) -> None:
    state = prefixed(as_compvis(plain_vae.state_dict(), scales=2, blocks=1), prefix)
    assert f"{prefix}decoder.up.0.block.0.nin_shortcut.weight" in state
    assert_computes_as(loaded(state), plain_vae)


def test_original_names_of_four_scales(tmp_path: Path) -> None:
    vae = full_vae(block_out_channels=(32, 64, 96, 96), layers_per_block=2)
    state = as_compvis(vae.state_dict(), scales=4, blocks=2)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "vae.pt")
    assert_computes_as(loaded(tmp_path / "vae.pt"), vae)


def test_a_pipeline_in_one_file_larger_than_any_vae(tmp_path: Path, sd_like: Any) -> None:
    state = prefixed(as_compvis(sd_like.state_dict(), scales=4, blocks=1), "first_stage_model.")
    path = tmp_path / "pipeline.safetensors"
    save_file(state | {"conditioner.embedders.0.x": torch.zeros(1)}, path)
    with_sparse_end(path, "model.diffusion_model.huge", 3 * 2**30)
    ae = loaded(path)
    assert ae.spec.name == "sdxl-vae"
    assert_computes_as(ae, sd_like)


def test_another_file_as_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unet.safetensors"
    save_file({"decoder.1.weight": torch.zeros(64, 4, 3, 3)}, path)
    with_sparse_end(path, "model.huge", 3 * 2**30)
    with pytest.raises(ts.CheckpointError, match=r"at most 2147483648 bytes .*whole pipeline's"):
        read_checkpoint(path)


def with_sparse_end(path: Path, name: str, size: int) -> None:
    """Add a tensor that takes no room on disk."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    end = len(rest) + size
    header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [len(rest), end]}
    words = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(words)) + words + rest)
        file.truncate(8 + len(words) + end)


# --- halves -----------------------------------------------------------------------------------


def test_one_half_alone(plain_vae: Any, caplog: pytest.LogCaptureFixture) -> None:
    state = plain_vae.state_dict()
    wanted = ("decoder.", "post_quant_conv.", "quant_conv.")
    only = {key: each for key, each in state.items() if key.startswith(wanted)}
    ae = loaded(only)
    assert (ae.spec.can_decode, ae.spec.can_encode) == (True, False)
    with pytest.raises(ts.InputError, match="was loaded without its encoder"):
        ae.encode(torch.rand(1, 3, 8, 8))
    without_role = loaded(plain_vae.encoder.state_dict())
    assert (without_role.spec.can_decode, without_role.spec.can_encode) == (False, True)
    assert "one half without quant_conv" in caplog.text


def test_halves_in_two_files(tmp_path: Path, plain_vae: Any) -> None:
    for half, outer in (("decoder", "post_quant_conv."), ("encoder", "quant_conv.")):
        part = {
            key: each
            for key, each in plain_vae.state_dict().items()
            if key.startswith((half, outer))
        }
        save_file(part, tmp_path / f"my_{half}.safetensors")
    assert_computes_as(loaded(tmp_path / "my_decoder.safetensors"), plain_vae)


# --- which it is ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sd-vae", "flux-vae"])
def test_real_shapes_are_those_of_diffusers(name: str) -> None:
    of_16 = {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
    with torch.device("meta"):
        vae = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            **(of_16 if name == "flux-vae" else {}),
        )
    variant = variant_named(name)
    assert variant.encoder is not None
    outer = {"decoder": "post_quant_conv", "encoder": "quant_conv"}
    ours = {}
    for half, make in (("decoder", variant.decoder), ("encoder", variant.encoder)):
        for key, shape in make().shapes().items():
            is_outer = key.startswith(f"{outer[half]}.")
            ours[key if is_outer else f"{half}.{key}"] = shape
    assert ours == {key: tuple(each.shape) for key, each in vae.state_dict().items()}


def test_full_vaes_are_never_taken_unasked() -> None:
    fine = [each for each in VARIANTS if each.is_fine]
    names = ["sd-vae", "sdxl-vae", "sd3-vae", "flux-vae", "svd-vae", "consistency"]
    assert sorted(each.name for each in fine) == sorted(names)
    assert not any(each.is_suggested or each.built_in for each in fine)
    assert {each.convention for each in fine} == {"vae"}
    spaces = latent_spaces
    of_sd1 = dict.fromkeys(("sd-vae", "svd-vae", "consistency"), spaces.SD1)
    expected = {"sdxl-vae": spaces.SDXL, "sd3-vae": spaces.SD3, "flux-vae": spaces.FLUX1, **of_sd1}
    assert {each.name: each.space for each in fine} == expected


@pytest.mark.parametrize(
    ("factor", "shift", "name"),
    [
        (0.18215, None, "sd-vae"),
        (0.13025, None, "sdxl-vae"),
        (0.5, None, "kl-vae"),
        (0.13025, 0.1, "kl-vae"),
    ],
)
def test_the_scale_of_its_configuration_tells(
    tmp_path: Path, sd_like: Any, factor: float, shift: float | None, name: str
) -> None:
    home = tmp_path / "flux-sdxl-vae"
    sd_like.save_pretrained(home)
    config = json.loads((home / "config.json").read_text())
    config |= {"scaling_factor": factor, "shift_factor": shift}
    (home / "config.json").write_text(json.dumps(config))
    spec = loaded(home).spec
    assert (spec.name, spec.convention, spec.spatial_scale) == (name, "vae", 8)
    assert spec.space.deviation == pytest.approx([1 / factor])
    assert spec.space.mean == (shift or 0,)
    # Who says what it is, is believed.
    assert loaded(home, variant="sdxl-vae").spec.space == latent_spaces.SDXL


def test_an_old_configuration_means_the_usual_factor(tmp_path: Path, sd_like: Any) -> None:
    save_file(sd_like.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    assert loaded(tmp_path).spec.space == latent_spaces.SD1


@pytest.mark.parametrize(
    ("stem", "channels", "name"),
    [
        ("sdxl_vae", 4, "sdxl-vae"),
        ("vae-ft-mse-840000-ema-pruned", 4, "sd-vae"),
        ("mine", 4, "sd-vae"),
        ("ae", 16, "flux-vae"),
        ("sd3_vae", 16, "sd3-vae"),
        ("mine", 16, "sd3-vae"),
    ],
)
def test_a_name_is_a_hint_and_a_guess_is_told(
    tmp_path: Path, stem: str, channels: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    vae = full_vae(block_out_channels=(32, 32, 32, 32), latent_channels=channels)
    save_file(vae.state_dict(), tmp_path / f"{stem}.safetensors")
    with caplog.at_level(logging.WARNING, "taesd_stream"):
        assert loaded(tmp_path / f"{stem}.safetensors").spec.name == name
    assert ("say so with --variant" in caplog.text) == (stem == "mine")


@pytest.mark.parametrize(
    ("beside", "channels", "name"),
    [
        ("conditioner.embedders.0.weight", 4, "sdxl-vae"),
        ("cond_stage_model.weight", 4, "sd-vae"),
        ("model.diffusion_model.joint_blocks.0.weight", 16, "sd3-vae"),
        ("model.diffusion_model.double_blocks.0.weight", 16, "flux-vae"),
    ],
)
def test_what_lies_beside_it_tells(beside: str, channels: int, name: str) -> None:
    vae = full_vae(block_out_channels=(32, 32, 32, 32), latent_channels=channels)
    state = prefixed(vae.state_dict(), "first_stage_model.") | {beside: torch.zeros(2, 2)}
    assert loaded(state).spec.name == name


def test_figures_that_nobody_knows_are_asked_for(plain_vae: Any) -> None:
    ae = loaded(plain_vae.state_dict())
    assert (ae.spec.name, ae.spec.latent_channels, ae.spec.spatial_scale) == ("kl-vae", 4, 2)
    with pytest.raises(ts.InputError, match=r"in its config\.json; give that VAE with --vae"):
        ae.decode(torch.zeros(1, 4, 4, 4))


# --- what is refused --------------------------------------------------------------------------


BLOCK = "decoder.up_blocks.1.resnets.1"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {f"{BLOCK}.conv1.weight": torch.zeros(32, 31, 3, 3)},
            r"decoder's up_blocks.1.resnets.1.conv1.weight is \(32, 31, 3, 3\), not"
            r" \(32, 32, 3, 3\); give an AutoencoderKL for pictures",
        ),
        ({f"{BLOCK}.norm2.bias": None}, "decoder's up_blocks.1.resnets.1.norm2.bias is missing"),
        (
            {"decoder.up_blocks.1.resnets.2.conv1.weight": torch.zeros(32, 32, 3, 3)},
            "decoder's up_blocks.1.resnets.2.conv1.weight belongs to no layer",
        ),
        (
            {"encoder.down_blocks.1.attentions.0.to_q.weight": torch.zeros(64, 64)},
            "encoder's down_blocks.1.attentions.0.to_q.weight belongs to no layer",
        ),
        (
            {"decoder.conv_out.weight": torch.zeros(4, 32, 3, 3)},
            r"conv_out.weight is \(4, 32, 3, 3\), not \(3, 32, 3, 3\)",
        ),
        (
            {"post_quant_conv.weight": None, "post_quant_conv.bias": None},
            "expected post_quant_conv beside quant_conv, found none",
        ),
        ({"decoder.conv_in.weight": None}, "expected a 2D convolution conv_in.weight, found none"),
        (
            {"decoder.conv_in.weight": torch.zeros(64, 4, 3, 3, 3)},
            r"expected a 2D convolution conv_in.weight, found one of shape \(64, 4, 3, 3, 3\)",
        ),
        ({"quantize.embedding.weight": torch.zeros(9, 4)}, "found 'quantize.* a VQ model has it"),
        ({"time_embedding.weight": torch.zeros(9, 4)}, "a diffusion model has it"),
    ],
)
def test_other_layers_are_refused_by_name(
    plain_vae: Any, changes: dict[str, torch.Tensor | None], complaint: str
) -> None:
    state = plain_vae.state_dict() | changes
    with pytest.raises(ts.CheckpointError, match=complaint) as refused:
        loaded({key: each for key, each in state.items() if each is not None})
    assert "\n" not in str(refused.value)


def test_halves_of_two_models_are_refused(plain_vae: Any) -> None:
    wide = full_vae(block_out_channels=(64, 64)).state_dict()
    state = plain_vae.state_dict()
    mixed = {
        key: (wide if key.startswith("decoder.") else state)[key] for key in state if key in wide
    }
    with pytest.raises(ts.CheckpointError, match=r"a decoder of .* 64, 64 .* encoder of .* 32, 64"):
        loaded(mixed)


def test_widths_that_the_groups_do_not_divide_are_refused() -> None:
    vae = full_vae(block_out_channels=(20, 40), norm_num_groups=4)
    with pytest.raises(ts.CheckpointError, match=r"32 groups .* 20, 40; .* norm_num_groups"):
        loaded(vae.state_dict())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"_class_name": "AutoencoderKLWan"},
            "or ConsistencyDecoderVAE, found 'Auto",
        ),
        ({"act_fn": "relu"}, "expected act_fn in its configuration to be silu, found 'relu'"),
        ({"up_block_types": ["AttnUpDecoderBlock2D"]}, "to be UpDecoderBlock2D, found 'AttnUp"),
        ({"norm_num_groups": 0}, "norm_num_groups in its configuration to be a number from 1 up"),
        ({"norm_num_groups": "8"}, "norm_num_groups in its configuration to be a number from 1 up"),
        ({"scaling_factor": "much"}, "expected numbers for scaling_factor and shift_factor"),
        ({"scaling_factor": 0}, "expected numbers for scaling_factor and shift_factor"),
    ],
)
def test_configurations_that_ask_for_something_else_are_refused(
    tmp_path: Path, plain_vae: Any, changes: dict[str, object], complaint: str
) -> None:
    save_file(plain_vae.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    config = {"_class_name": "AutoencoderKL"} | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ts.CheckpointError, match=complaint):
        loaded(tmp_path)


def test_a_variant_of_other_channels_is_refused(plain_vae: Any) -> None:
    with pytest.raises(
        ts.CheckpointError,
        match=r"expected flux-vae, which has 16 channels and 8 pixels per latent, found .* 4"
        r" channels and 2 pixels per latent; the shapes fit kl-vae",
    ):
        loaded(plain_vae, variant="flux-vae")
