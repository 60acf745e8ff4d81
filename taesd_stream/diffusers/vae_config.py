"""What pipelines ask of a VAE in figures, such that they leave latents as they are.

Pipelines undo the scale of a full VAE before they decode. Tiny decoders take latents as the
diffusion model has them, so that here every factor is 1, every shift and mean 0, and every
deviation 1.
"""

from __future__ import annotations

from typing import Any

from taesd_stream.models.spec import ModelSpec

__all__ = ["doublings", "vae_config"]

_WIDTH = 64  # of the tiny networks; pipelines only count the blocks


def vae_config(spec: ModelSpec) -> dict[str, Any]:
    """The entries of ``vae.config`` that pipelines of diffusers 0.42 read.

    >>> from taesd_stream.engine.load import load
    >>> config = vae_config(load("latent2rgb", device="cpu").spec)
    >>> len(config["block_out_channels"]), config["latents_std"]
    (4, [1.0, 1.0, 1.0, 1.0])
    """
    channels, blocks = spec.latent_channels, (_WIDTH,) * (doublings(spec.spatial_scale) + 1)
    return {
        "in_channels": spec.image_channels,
        "out_channels": spec.image_channels,
        "latent_channels": channels,
        "z_dim": channels,
        "block_out_channels": blocks,
        "encoder_block_out_channels": blocks,
        "scaling_factor": 1.0,
        "shift_factor": 0.0,
        "latents_mean": [0.0] * channels,
        "latents_std": [1.0] * channels,
        "batch_norm_eps": 0.0,
        "temporal_compression_ratio": spec.temporal_scale,
        "spatial_compression_ratio": spec.spatial_scale,
        "scale_factor_temporal": spec.temporal_scale,
        "scale_factor_spatial": spec.spatial_scale,
        "force_upcast": False,
        "timestep_conditioning": False,
        "invert_scale_latents": False,
    }


def doublings(scale: int) -> int:
    """How many times a side, or a length, is doubled.

    >>> doublings(8)
    3
    """
    return scale.bit_length() - 1
