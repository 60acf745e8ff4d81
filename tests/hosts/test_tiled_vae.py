"""The engine in the place of the VAE of diffusers' own pipelines, with small random networks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("transformers", reason="diffusers' pipelines need transformers")

import diffusers

import taesd_stream as ts
from taesd_stream.diffusers import TiledVAE
from tests.engine.conftest import model_named, weights_of
from tests.hosts import tiny_pipelines as tiny

Make = Callable[[Any], tiny.TinyPipeline]

diffusers.logging.set_verbosity_error()
# Of diffusers' own code with newer libraries.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:In CPU autocast")


@pytest.fixture(scope="module")
def peers() -> Mapping[int, diffusers.AutoencoderTiny]:
    """diffusers' own TAESD of 4 and of 16 channels, with the goldens' weights."""
    return {4: peer("taesd"), 16: peer("taesd3")}


def peer(name: str) -> diffusers.AutoencoderTiny:
    weights = weights_of(name)
    vae = diffusers.AutoencoderTiny(latent_channels=model_named(name).spec.latent_channels)
    for half in ("encoder", "decoder"):
        # Both count layers, from another number on.
        ours = sorted((key for key in weights if key.startswith(half)), key=in_order)
        theirs = getattr(vae, half)
        state = zip(
            sorted(theirs.state_dict(), key=in_order), (weights[key] for key in ours), strict=True
        )
        theirs.load_state_dict(dict(state))
    return vae.eval()


def in_order(key: str) -> list[tuple[bool, int, str]]:
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in key.split(".")]


def assert_same(made: Tensor, expected: Tensor) -> None:
    assert made.shape == expected.shape
    assert float((made - expected).abs().max()) < 1e-4
    seen = (expected > 0) & (expected < 1)
    assert float(seen.float().mean()) > 0.5, "most of it is neither black nor white"


@pytest.mark.parametrize(
    ("channels", "make"),
    [
        (4, tiny.stable_diffusion),
        (4, tiny.stable_diffusion_from_image),
        (4, tiny.stable_diffusion_xl),
        (4, tiny.animate_lcm),
        (16, tiny.stable_diffusion_3),
        (16, tiny.flux_1),
    ],
)
def test_pictures_are_those_of_diffusers_own_vae(
    channels: int, make: Make, peers: Mapping[int, diffusers.AutoencoderTiny]
) -> None:
    pipeline = make(peers[channels])
    expected = pipeline()
    pipeline.pipe.vae = TiledVAE(peers[channels], device="cpu", backend="torch", tile=3)
    assert_same(pipeline(), expected)


@pytest.mark.parametrize(
    ("name", "make", "size"),
    [
        ("taef2", tiny.flux_2, (64, 96)),
        ("taesdv", tiny.animate_lcm, None),
        ("taew2_1", tiny.wan, None),
        ("taehv", tiny.hunyuan_video, None),
        ("taecvx", tiny.cogvideo_x, None),
        ("taeltx_2", tiny.ltx, (64, 96)),
        ("taem1", tiny.mochi, None),
    ],
)
def test_pictures_are_those_of_the_undivided_decode(
    name: str, make: Make, size: tuple[int, int] | None
) -> None:
    ae = model_named(name)
    pipeline = make(TiledVAE(ae, tile=2))
    latents = pipeline("latent")
    made = pipeline()
    with ts.open_latents(latents, channels=ae.spec.latent_channels, size=size) as source:
        video = source[:]
    expected = ae.decode(video[None] if made.dim() == 5 else video, tile=None)
    assert_same(made, expected)


def test_stable_video_diffusion_gets_what_it_encodes_in_the_full_vaes_scale() -> None:
    ae = model_named("taesdv")
    vae = TiledVAE(ae, tile=3, convention="vae")
    pipeline = tiny.stable_video(vae)
    latents, made = pipeline("latent"), pipeline()
    assert latents.shape == (1, 5, 4, 4, 6)
    assert_same(made, ae.decode(latents, tile=None))
    noisy = pipeline.words["image"] * 2.4 - 1.2  # It adds noise, and so leaves [-1, 1].
    expected = peer("taesd").encode(noisy).latents / 0.18215
    torch.testing.assert_close(vae.encode(noisy).latent_dist.mode(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("name", "make"),
    [("taesd", tiny.stable_diffusion), ("taef2", tiny.flux_2), ("taew2_1", tiny.wan)],
)
def test_pictures_are_the_same_in_the_full_vaes_scale(name: str, make: Make) -> None:
    ae = model_named(name)
    usual, full = TiledVAE(ae), TiledVAE(ae, convention="vae")
    pipeline = make(usual)
    expected = pipeline()
    pipeline.pipe.vae = full
    assert_same(pipeline(), expected)
    latents = torch.ones(1, ae.spec.latent_channels, *([1] * (expected.dim() - 4)), 2, 2)
    assert float((usual.decode(latents).sample - full.decode(latents).sample).abs().max()) > 0.01


@pytest.mark.parametrize("name", ["taesd3", "taef2", "taew2_1"])
def test_a_model_for_other_latents_is_refused_with_those_that_fit(name: str) -> None:
    pipeline = tiny.animate_lcm(TiledVAE(model_named(name)))
    with pytest.raises(ts.InputError, match=rf"for {name}, found 4 in .* that fit: taesd \(Stab"):
        pipeline(num_inference_steps=1)


# --- clips in chunks ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip() -> Tensor:
    return torch.randn(7, 4, 4, 5, generator=torch.Generator().manual_seed(0))


def chunks(vae: TiledVAE, latents: Tensor, size: int) -> Tensor:
    parts = [latents[start : start + size] for start in range(0, len(latents), size)]
    return torch.cat([vae.decode(part).sample for part in parts]) / 2 + 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_memory_goes_on_through_the_chunks_of_a_clip_and_ends_with_it(
    size: int, clip: Tensor
) -> None:
    ae = model_named("taesdv")
    vae = TiledVAE(ae, tile=3)
    expected = ae.decode(clip[None], tile=None)[0]
    for _ in range(2):
        assert_same(chunks(vae, clip.clone(), size), expected)
    alone = torch.cat([ae.decode(each[None, None])[0] for each in clip])
    assert float((alone - expected).abs().max()) > 0.01, "memory matters"


def test_several_clips_in_one_batch(clip: Tensor) -> None:
    ae = model_named("taesdv")
    both = torch.cat([clip, clip.flip(0)])
    expected = torch.cat([ae.decode(each[None], tile=None)[0] for each in (clip, clip.flip(0))])
    assert_same(chunks(TiledVAE(ae, frames_per_clip=7), both, 3), expected)


def test_a_chunk_that_goes_on_from_nothing_begins_a_clip(clip: Tensor) -> None:
    ae = model_named("taesdv")
    vae = TiledVAE(ae)
    vae.decode(clip[:2])
    made = vae.decode(clip[3:5]).sample / 2 + 0.5
    assert_same(made, ae.decode(clip[None, 3:5], tile=None)[0])
    vae.decode(clip[:2])
    with pytest.raises(ts.InputError, match="in front of a single picture"):
        vae.decode(clip[0])


# --- what pipelines do with a VAE --------------------------------------------------------------


def test_it_moves_with_the_pipeline(peers: Mapping[int, diffusers.AutoencoderTiny]) -> None:
    vae = TiledVAE(peers[4], device="cpu", backend="torch")
    pipeline = tiny.stable_diffusion(vae)
    pipeline.pipe.to(torch.bfloat16)
    assert (vae.dtype, vae.ae.settings.dtype) == (torch.bfloat16, torch.bfloat16)
    made = vae.decode(torch.zeros(1, 4, 2, 2, dtype=torch.float16)).sample
    assert made.dtype == torch.float16
    pipeline.pipe.to(torch.float32)
    assert vae.ae.settings.dtype == torch.float32
    assert pipeline.pipe.device == vae.device == torch.device("cpu")


def test_a_model_in_openvino_stays_where_it_is() -> None:
    vae = TiledVAE("nano", device="cpu", backend="openvino")
    ae = vae.ae
    vae.to(torch.float16)
    assert vae.ae is ae


def test_a_hook_that_offloads_runs_before_each_half(
    peers: Mapping[int, diffusers.AutoencoderTiny],
) -> None:
    from accelerate.hooks import ModelHook, add_hook_to_module

    called = []

    class Counting(ModelHook):
        def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            called.append(module)
            return args, kwargs

    vae = TiledVAE(peers[4], device="cpu", backend="torch")
    add_hook_to_module(vae, Counting())
    latents = vae.encode(torch.zeros(1, 3, 16, 16)).latents
    vae.decode(latents)
    assert called == [vae, vae]


def test_a_pipeline_that_offloads_has_the_same_pictures(
    peers: Mapping[int, diffusers.AutoencoderTiny],
) -> None:
    vae = TiledVAE(peers[4], device="cpu", backend="torch")
    pipeline = tiny.stable_diffusion_from_image(vae)
    expected = pipeline()
    pipeline.pipe.enable_model_cpu_offload(device="cpu")
    for _ in range(2):
        assert_same(pipeline(), expected)
    assert type(vae._hf_hook).__name__ == "CpuOffload"


def test_it_goes_where_a_hook_has_moved_its_parameter(
    peers: Mapping[int, diffusers.AutoencoderTiny],
) -> None:
    vae = TiledVAE(peers[4], device="cpu", backend="torch")
    latents = torch.ones(1, 4, 2, 3)
    expected = vae.decode(latents).sample
    # As accelerate does it, module by module: to nowhere after a call, and back before the next.
    vae._parameters["where"] = nn.Parameter(torch.empty(0, device="meta"), requires_grad=False)
    vae.to(torch.bfloat16)
    assert vae.ae.settings.dtype == torch.float32
    vae._parameters["where"] = nn.Parameter(torch.empty(0).bfloat16(), requires_grad=False)
    made = vae.decode(latents).sample
    assert vae.ae.settings.dtype == torch.bfloat16
    torch.testing.assert_close(made, expected, atol=0.1, rtol=0)


def test_pipelines_are_loaded_with_it_and_say_why_it_is_not_saved(
    tmp_path: Path, peers: Mapping[int, diffusers.AutoencoderTiny]
) -> None:
    pipeline = tiny.stable_diffusion(peers[4])
    expected = pipeline()
    pipeline.pipe.save_pretrained(tmp_path / "saved")
    vae = TiledVAE(peers[4], device="cpu", backend="torch")
    absent = dict.fromkeys(["safety_checker", "feature_extractor", "tokenizer", "text_encoder"])
    loaded = diffusers.StableDiffusionPipeline.from_pretrained(
        tmp_path / "saved", vae=vae, image_encoder=None, **absent
    )
    loaded.set_progress_bar_config(disable=True)
    assert_same(tiny.TinyPipeline(loaded, pipeline.words)(), expected)
    with pytest.raises(ts.InputError, match="put the pipeline's own VAE back"):
        loaded.save_pretrained(tmp_path / "again")


def test_tiling_and_slicing_are_harmless_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    vae = TiledVAE("latent2rgb", device="cpu")
    with caplog.at_level(logging.WARNING, "taesd_stream"):
        vae.enable_tiling(tile_sample_min_height=256)
        vae.enable_slicing()
        vae.disable_tiling()
        vae.disable_slicing()
    assert len(caplog.records) == 1


def test_options_of_loading_do_not_go_with_a_loaded_model() -> None:
    with pytest.raises(ts.InputError, match="give them to load"):
        TiledVAE(model_named("taesd"), dtype="float16")
    with pytest.raises(ts.InputError, match="expected 1 or more, found 0"):
        TiledVAE(model_named("taesd"), frames_per_clip=0)
    with pytest.raises(ts.InputError, match="has no encoder, it only decodes"):
        TiledVAE("latent2rgb", device="cpu").encode(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("half", ["decode", "encode"])
def test_gradients_are_those_of_diffusers_own_tiny_vae(
    half: str, peers: Mapping[int, diffusers.AutoencoderTiny]
) -> None:
    generator = torch.Generator().manual_seed(3)
    shape = (1, 4, 6, 7) if half == "decode" else (1, 3, 40, 56)
    source = torch.randn(shape, generator=generator).clamp(-1, 1)

    def pulled(vae: Any) -> Tensor:
        leaf = source.clone().requires_grad_()
        made = getattr(vae, half)(leaf, return_dict=False)[0].clamp(-1, 1)
        (made * torch.linspace(-1, 1, made.shape[-1])).sum().backward()
        assert leaf.grad is not None
        return leaf.grad

    ours, theirs = pulled(TiledVAE(model_named("taesd"), tile=3)), pulled(peers[4])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-3


def test_frames_of_a_clip_have_gradients() -> None:
    ae = model_named("taesdv")
    z = torch.randn(3, 4, 3, 4, generator=torch.Generator().manual_seed(4)).requires_grad_()
    made = TiledVAE(ae).decode(z, return_dict=False)[0]
    (found,) = torch.autograd.grad(made.square().sum(), z)
    (expected,) = torch.autograd.grad((ae.decode(z[None])[0] * 2 - 1).square().sum(), z)
    torch.testing.assert_close(found, expected)
