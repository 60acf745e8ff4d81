"""The full VAEs by their names: every detail of a picture, for those who have the time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from taesd_stream.models import latent_spaces
from taesd_stream.models.consistency import ConsistencySizes, consistency_decoder
from taesd_stream.models.kl_architectures import KLSizes, kl_decoder, kl_encoder
from taesd_stream.models.latent_spaces import LatentSpace
from taesd_stream.models.svd_architecture import svd_decoder
from taesd_stream.models.variant import Variant

__all__ = ["CONSISTENCY", "FINE_VARIANTS", "consistency_variant", "fine_variant"]

_OF_4_CHANNELS: Final = KLSizes(latent_channels=4)
_OF_16_CHANNELS: Final = KLSizes(latent_channels=16, is_quantised=False)


def fine_variant(
    name: str, latents_of: str, space: LatentSpace, sizes: KLSizes, *, hub: str | None = None
) -> Variant:
    """A full VAE; its weights are the caller's where no repository has them."""
    return Variant(
        name,
        latents_of,
        space,
        2 ** (len(sizes.widths) - 1),
        partial(svd_decoder if sizes.in_chunks else kl_decoder, sizes),
        partial(kl_encoder, sizes),
        "hub",
        convention="vae",
        hub=hub,
        is_fine=True,
        in_chunks=sizes.in_chunks,
    )


FINE_VARIANTS: Final = (
    fine_variant(
        "sd-vae",
        "Stable Diffusion 1 and 2",
        latent_spaces.SD1,
        _OF_4_CHANNELS,
        hub="stabilityai/sd-vae-ft-mse",
    ),
    # The same VAE as stabilityai/sdxl-vae, made to stay within what float16 holds.
    fine_variant(
        "sdxl-vae",
        "Stable Diffusion XL",
        latent_spaces.SDXL,
        _OF_4_CHANNELS,
        hub="madebyollin/sdxl-vae-fp16-fix",
    ),
    fine_variant(
        "sd3-vae",
        "Stable Diffusion 3",
        latent_spaces.SD3,
        _OF_16_CHANNELS,
        hub="stabilityai/stable-diffusion-3-medium-diffusers",
    ),
    fine_variant(
        "flux-vae",
        "FLUX.1",
        latent_spaces.FLUX1,
        _OF_16_CHANNELS,
        hub="black-forest-labs/FLUX.1-schnell",
    ),
    fine_variant(
        "svd-vae",
        "Stable Video Diffusion",
        latent_spaces.SD1,
        replace(_OF_4_CHANNELS, in_chunks=True),
        hub="stabilityai/stable-video-diffusion-img2vid",
    ),
)
"""The table of them; those that share their shapes follow each other."""


def consistency_variant(sizes: ConsistencySizes, encoder: KLSizes | None) -> Variant:
    """A ConsistencyDecoderVAE, whose encoder is the one of an AutoencoderKL."""
    return Variant(
        "consistency",
        "Stable Diffusion 1 and 2",
        latent_spaces.SD1,
        sizes.spatial_scale,
        partial(consistency_decoder, sizes),
        None if encoder is None else partial(kl_encoder, encoder),
        "hub",
        convention="vae",
        hub="openai/consistency-decoder",
        is_fine=True,
    )


CONSISTENCY: Final = consistency_variant(ConsistencySizes(), _OF_4_CHANNELS)
"""OpenAI's, which makes pictures of noise and latents."""
