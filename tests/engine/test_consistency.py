"""The Consistency Decoder, tile by tile, equals diffusers' undivided one of the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models.noise import noise
from tiling import Region, Size

pytest.importorskip("diffusers", reason="needs diffusers, to compare with")

import diffusers
from diffusers.models.autoencoders import consistency_decoder_vae
from diffusers.schedulers import scheduling_consistency_decoder

from tests.engine.full_vaes import loaded, randomised

EXACT = 1e-4  # of the range
few = settings(max_examples=8, deadline=None, derandomize=True)
sides = st.integers(1, 7)
tiles = st.one_of(st.none(), st.integers(1, 5), st.tuples(st.integers(1, 5), st.integers(1, 5)))


def consistency_vae(widths: tuple[int, ...], blocks: int = 1, scales: int = 4, **more: Any) -> Any:
    """A narrow diffusers.ConsistencyDecoderVAE with random weights."""
    count = len(widths)
    vae = diffusers.ConsistencyDecoderVAE(
        encoder_block_out_channels=(32,) * scales,
        encoder_layers_per_block=1,
        encoder_down_block_types=("DownEncoderBlock2D",) * scales,
        decoder_block_out_channels=widths,
        decoder_layers_per_block=blocks,
        decoder_down_block_types=("ResnetDownsampleBlock2D",) * count,
        decoder_up_block_types=("ResnetUpsampleBlock2D",) * count,
        **more,
    )
    return randomised(vae)


@pytest.fixture(scope="module")
def vae() -> Any:
    return consistency_vae((32, 64, 64, 32))


@pytest.fixture(scope="module")
def ours(vae: Any) -> ts.AutoEncoder:
    return loaded(vae)


def decoded(vae: Any, latents: Tensor, seed: int = 0) -> Tensor:
    """What diffusers makes of the noise that we draw."""
    number = 0

    def drawn(shape: Any, dtype: Any = None, **_: Any) -> Tensor:
        nonlocal number
        number += 1
        whole = Region.whole(Size(*shape[2:]))
        return noise(seed, number, whole, 3, torch.device("cpu")).expand(*shape).to(dtype)

    with pytest.MonkeyPatch.context() as patch:
        for module in (consistency_decoder_vae, scheduling_consistency_decoder):
            patch.setattr(module, "randn_tensor", drawn)
        made = vae.decode(latents).sample
    assert number == 2
    return (made / 2 + 0.5).clamp(0, 1)


def random_latents(*shape: int) -> Tensor:
    return 5 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_weights_matter(vae: Any) -> None:
    """Every parameter that is not an encoder's changes the picture, and so do latents."""
    made = decoded(vae, random_latents(1, 4, 4, 5))
    assert float(made.std()) > 0.05
    assert float(((made == 0) | (made == 1)).float().mean()) < 0.5
    assert float((made - decoded(vae, -random_latents(1, 4, 4, 5))).abs().max()) > 0.05


@few
@given(shape=st.tuples(st.integers(1, 2), st.just(4), sides, st.integers(2, 7)), tile=tiles)
def test_decoding(vae: Any, ours: ts.AutoEncoder, shape: tuple[int, ...], tile: Any) -> None:
    latents = random_latents(*shape)
    made = ours.decode(latents, tile=tile)
    assert float((made - decoded(vae, latents)).abs().max()) < EXACT


@pytest.mark.parametrize(
    "sizes",
    [
        {"widths": (32, 96), "blocks": 2, "scales": 3},
        {"widths": (64,), "decoder_norm_num_groups": 16, "encoder_norm_num_groups": 8},
        {"widths": (32, 32, 32), "scaling_factor": 0.3},
    ],
    ids=["two blocks", "one scale", "another factor"],
)
def test_other_sizes_from_a_folder(sizes: dict[str, Any], tmp_path: Path) -> None:
    vae = consistency_vae(**sizes)
    vae.save_pretrained(tmp_path)
    ours = loaded(tmp_path)
    assert ours.spec.spatial_scale == 2 ** (sizes.get("scales", 4) - 1)
    latents = random_latents(1, 4, 5, 3)
    assert float((ours.decode(latents, tile=2) - decoded(vae, latents)).abs().max()) < EXACT
    picture = torch.rand(1, 3, 33, 40)
    expected = vae.encode(picture * 2 - 1).latent_dist.mean
    assert torch.allclose(ours.encode(picture, tile=2), expected, atol=EXACT)


def test_seeds(vae: Any, ours: ts.AutoEncoder, tmp_path: Path) -> None:
    latents = random_latents(1, 4, 3, 4)
    expected = decoded(vae, latents, 2**40 + 3)
    options: dict[str, Any] = {"seed": 2**40 + 3, "tile": 2}
    assert float((ours.decode(latents, **options) - expected).abs().max()) < EXACT
    assert float((ours.decode(latents) - expected).abs().max()) > 0.05
    (frame,) = ours.stream(latents, **options)
    bytes_ = (expected[0].permute(1, 2, 0) * 255).round().byte()
    assert int((torch.from_numpy(frame).int() - bytes_.int()).abs().max()) <= 1
    ts.render(latents, tmp_path / "a.npy", model=ours, convention="vae", **options)
    assert np.array_equal(np.load(tmp_path / "a.npy")[0], frame)
    run = ours.open_picture(ts.open_latents(latents[0]), **options)
    for region, tile in run.tiles():
        part = expected[0, :, region.y.start : region.y.stop, region.x.start : region.x.stop]
        assert float((tile.clamp(0, 1) - part).abs().max()) < EXACT


def test_conventions(vae: Any, ours: ts.AutoEncoder) -> None:
    latents = random_latents(1, 4, 3, 4)
    made = loaded(vae, convention="model").decode(latents * 0.18215)
    assert float((made - ours.decode(latents)).abs().max()) < EXACT
    assert ours.spec.name == "consistency"


def test_a_picture_is_the_same_in_any_company(ours: ts.AutoEncoder) -> None:
    latents = random_latents(3, 4, 4, 4)
    together = ours.decode(latents, tile=3)
    for index in range(3):
        alone = ours.decode(latents[index : index + 1], tile=2)
        assert float((alone - together[index : index + 1]).abs().max()) < EXACT


def test_crops_and_scratch_files(vae: Any, ours: ts.AutoEncoder) -> None:
    latents = random_latents(1, 4, 18, 15)
    expected = decoded(vae, latents)
    part = ours.decode(latents, tile=7, crop=(5, 3, 50, 61))
    assert float((part - expected[:, :, 3:64, 5:55]).abs().max()) < EXACT
    memory = "7MiB"
    assert ours.plan(latents.shape, memory=memory).scratch
    assert float((ours.decode(latents, memory=memory) - expected).abs().max()) < EXACT


def test_16_bits_are_as_near_as_they_are_undivided(vae: Any) -> None:
    latents = random_latents(1, 4, 6, 5)
    exact = decoded(vae, latents)
    half = consistency_vae((32, 64, 64, 32)).to(torch.bfloat16)
    undivided = decoded(half, latents.to(torch.bfloat16)).float()
    ours = loaded(vae, dtype="bfloat16").decode(latents, tile=2).float()
    assert float((ours - exact).square().mean()) < 1.5 * float((undivided - exact).square().mean())


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"decoder_add_attention": True}, r"no attention.*mid_block\.attentions"),
        ({"decoder_resnet_time_scale_shift": "default"}, r"another kind.*time_emb_proj"),
        ({"decoder_time_embedding_type": "positional"}, r"time_proj\.weight"),
        ({"decoder_in_channels": 8}, "from 8 to 6"),
        ({"decoder_num_train_timesteps": 900}, "found 900"),
    ],
)
def test_another_kind_is_refused(sizes: dict[str, Any], words: str) -> None:
    with pytest.raises(ts.CheckpointError, match=words):
        loaded(consistency_vae((32, 32), **sizes))


def test_another_name_is_refused(vae: Any) -> None:
    assert loaded(vae, variant="consistency").spec.name == "consistency"
    with pytest.raises(ts.CheckpointError, match="found a ConsistencyDecoderVAE"):
        loaded(vae, variant="sd-vae")


def test_its_decoder_alone_and_under_a_prefix(vae: Any, ours: ts.AutoEncoder) -> None:
    latents = random_latents(1, 4, 3, 3)
    state = vae.state_dict()
    unet = {f"vae.{key}": each for key, each in state.items() if key.startswith("decoder_unet.")}
    alone = loaded({"state_dict": unet, "step": 3})
    assert not alone.spec.can_encode
    assert torch.equal(alone.decode(latents), ours.decode(latents))


def test_it_has_no_fast_norms(vae: Any) -> None:
    with pytest.raises(ts.InputError, match="fast norms: expected an AutoencoderKL"):
        loaded(vae, fast_norms=True)
