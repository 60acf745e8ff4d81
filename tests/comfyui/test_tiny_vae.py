"""The VAE in the place of ``comfy.sd.VAE``: shapes, scales and figures as its nodes expect them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

import taesd_stream as ts
from taesd_stream.models import latent_spaces
from tests.cases.official_weights import official


@pytest.fixture
def vae_of(nodes: ModuleType) -> Callable[..., Any]:
    from taesd_stream.comfyui.tiny_vae import TinyVAE

    return TinyVAE


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def in_patches(latents: torch.Tensor) -> torch.Tensor:
    """FLUX.2's latents, (B, C, h, w), as ComfyUI's VAE has them: (B, 4 C, h/2, w/2)."""
    batch, channels, height, width = latents.shape
    cut = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return cut.permute(0, 1, 3, 5, 2, 4).reshape(batch, 4 * channels, height // 2, width // 2)


def test_flux2_is_in_patches_in_the_models_own_scale(vae_of) -> None:
    ae = ts.load(official("taef2"), device="cpu")
    vae = vae_of(ae)
    latents = noise(2, 32, 4, 6)
    image = vae.decode(in_patches(latents))
    torch.testing.assert_close(image, ae.decode(latents).movedim(1, -1))
    tiled = vae.decode_tiled(in_patches(latents), tile_x=8, tile_y=8, overlap=2, tile_t=None)
    assert torch.equal(tiled, image)
    assert (vae.latent_channels, vae.spacial_compression_decode()) == (128, 16)


def test_flux2_is_encoded_into_patches(vae_of) -> None:
    ae = ts.load(official("taef2"), device="cpu")
    picture = torch.rand(1, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    made = vae_of(ae).encode(picture)
    torch.testing.assert_close(made, in_patches(ae.encode(picture.movedim(-1, 1))))


def test_ltx_is_in_the_models_own_scale(vae_of) -> None:
    ae = ts.load(official("taeltx_2"), variant="taeltx_2", device="cpu")
    latents = noise(1, 128, 2, 1, 1)
    image = vae_of(ae).decode(latents)
    expected = ae.decode(latents.transpose(1, 2), convention="model")
    torch.testing.assert_close(image, expected.movedim(2, -1))


def test_video_has_time_and_its_figures(vae_of) -> None:
    ae = ts.load(official("taehv"), variant="taew2_1", device="cpu")
    vae = vae_of(ae)
    z_model = noise(2, 16, 3, 2, 2)
    mean, deviation = (
        torch.tensor(figures).view(-1, 1, 1, 1)
        for figures in (latent_spaces.WAN2_1.mean, latent_spaces.WAN2_1.deviation)
    )
    samples = z_model * deviation + mean
    image = vae.decode(samples)
    assert image.shape == (2, 9, 16, 16, 3)
    expected = ae.decode(z_model.transpose(1, 2)).movedim(2, -1)
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)
    encoded = vae.encode(image[0])
    assert encoded.shape == (1, 16, 3, 2, 2)
    as_model = ae.encode(image[:1].movedim(-1, 2)).transpose(1, 2)
    torch.testing.assert_close(encoded, as_model * deviation + mean, atol=1e-5, rtol=1e-5)
    assert torch.equal(vae.encode_tiled(image[:1]), encoded)
    assert vae.encode(image[0, :2], not_video=True).shape == (2, 16, 1, 2, 2)
    assert (vae.latent_dim, vae.temporal_compression_decode()) == (3, 4)
    frames, *_ = vae.upscale_ratio
    latents, *_ = vae.downscale_ratio
    assert [frames(3), latents(9)] == [9, 3]
    assert vae.upscale_index_formula == vae.downscale_index_formula == (4, 8, 8)


def test_pictures_are_cropped_to_whole_latents_and_clamped(vae_of) -> None:
    ae = ts.load("nano", device="cpu")
    vae = vae_of(ae)
    picture = torch.rand(2, 19, 24, 4, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    made = vae.encode(picture)
    middle = picture[:, 1:17, :, :3].clamp(0, 1).movedim(-1, 1)
    torch.testing.assert_close(made, ae.encode(middle) / 0.18215)
    assert (vae.latent_dim, vae.upscale_ratio, vae.downscale_ratio) == (2, 8, 8)
    assert vae.temporal_compression_decode() is None
    assert vae.upscale_index_formula is None
    vae.throw_exception_if_invalid()


def test_what_it_cannot_do_is_said(vae_of) -> None:
    vae = vae_of(ts.load("latent2rgb", device="cpu"))
    with pytest.raises(ts.InputError, match="latent2rgb has no encoder"):
        vae.encode(torch.zeros(1, 8, 8, 3))
    with pytest.raises(ts.InputError, match="expected a full VAE to save, found latent2rgb"):
        vae.get_sd()


def test_room_is_made_on_a_gpu_alone(comfyui, nodes: ModuleType) -> None:
    from taesd_stream.comfyui.host import make_room

    make_room(torch.device("cpu"), "2GiB")
    assert comfyui.freed == []
    for memory in ("2GiB", "auto"):
        make_room(torch.device("cuda"), memory)
    assert comfyui.freed == [2 << 30, 1 << 30]
