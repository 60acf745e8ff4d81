"""What pipelines ask of a VAE in figures, by which they bring latents to its scale and back.

Tiny decoders take latents as the diffusion model has them, so that for the convention "model" every
factor is 1, every shift and mean 0, and every deviation 1: pipelines leave latents as they are. For
"vae" the figures are those of the full VAE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.spec import ModelSpec

__all__ = ["doublings", "figures_of_patches", "vae_config"]

_WIDTH = 64  # of the tiny networks; pipelines only count the blocks


def vae_config(spec: ModelSpec, convention: Convention = "model") -> dict[str, Any]:
    """The entries of ``vae.config`` that pipelines of diffusers 0.42 read.

    Raises:
        InputError: The figures are not published.

    >>> from taesd_stream.engine.load import load
    >>> config = vae_config(load("latent2rgb", device="cpu").spec)
    >>> len(config["block_out_channels"]), config["latents_std"]
    (4, [1.0, 1.0, 1.0, 1.0])
    """
    factor, shift, mean, deviation = _figures(spec, convention)
    channels, blocks = spec.latent_channels, (_WIDTH,) * (doublings(spec.spatial_scale) + 1)
    return {
        "in_channels": spec.image_channels,
        "out_channels": spec.image_channels,
        "latent_channels": channels,
        "z_dim": channels,
        "block_out_channels": blocks,
        "encoder_block_out_channels": blocks,
        "scaling_factor": factor,
        "shift_factor": shift,
        "latents_mean": mean,
        "latents_std": deviation,
        "batch_norm_eps": 0.0,
        "temporal_compression_ratio": spec.temporal_scale,
        "spatial_compression_ratio": spec.spatial_scale,
        "scale_factor_temporal": spec.temporal_scale,
        "scale_factor_spatial": spec.spatial_scale,
        "force_upcast": False,
        "timestep_conditioning": False,
        "invert_scale_latents": False,
    }


def figures_of_patches(
    spec: ModelSpec, convention: Convention
) -> tuple[Sequence[float], Sequence[float]]:
    """Means and deviations of patches of 2x2 latents, by which FLUX.2's pipelines go."""
    patches, space = 4 * spec.latent_channels, spec.space
    if convention == "vae" and len(space.deviation) == patches:
        return space.mean, space.deviation
    return [0.0] * patches, [1.0] * patches


def _figures(
    spec: ModelSpec, convention: Convention
) -> tuple[float, float, list[float], list[float]]:
    """Factor, shift, and means and deviations for each channel."""
    channels, space = spec.latent_channels, spec.space
    factor, shift, mean, deviation = 1.0, 0.0, [0.0] * channels, [1.0] * channels
    if convention == "vae":
        space.require_figures()
        if len(space.deviation) == 1:
            factor, shift = 1 / space.deviation[0], space.mean[0]
        elif len(space.deviation) == channels:
            mean, deviation = list(space.mean), list(space.deviation)
    return factor, shift, mean, deviation


def doublings(scale: int) -> int:
    """How many times a side, or a length, is doubled.

    >>> doublings(8)
    3
    """
    return scale.bit_length() - 1
