"""Full VAEs of diffusers with random weights, small ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import diffusers
import torch
from torch import nn

import taesd_stream as ts

__all__ = ["loaded", "random_svd_vae", "random_vae", "randomised"]


@lru_cache(maxsize=8)
def random_vae(
    widths: tuple[int, ...] = (32, 64),
    *,
    latent_channels: int = 4,
    blocks: int = 1,
    quantised: bool = True,
) -> Any:
    """A diffusers.AutoencoderKL of few channels whose norms and biases do something."""
    vae = diffusers.AutoencoderKL(
        block_out_channels=widths,
        latent_channels=latent_channels,
        layers_per_block=blocks,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        use_quant_conv=quantised,
        use_post_quant_conv=quantised,
    )
    return randomised(vae)


@lru_cache(maxsize=2)
def random_svd_vae(widths: tuple[int, ...] = (32, 64)) -> Any:
    """A diffusers.AutoencoderKLTemporalDecoder of few channels, each of whose blocks mixes.

    Its middle is as it shall be with two blocks a scale only.
    """
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=widths,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
    )
    return randomised(vae)


def loaded(vae: Any, **options: Any) -> ts.AutoEncoder:
    """Ours of a VAE, or of weights, in float32 and the VAE's own scale if not told otherwise."""
    return ts.load(vae, **{"device": "cpu", "convention": "vae", "dtype": "float32"} | options)


def randomised(vae: nn.Module) -> nn.Module:
    """The same, with random biases, gains, and sharp attention."""
    generator = torch.Generator().manual_seed(1)
    for name, weight in vae.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("bias"):
            weight.data = noise / 4
        elif name.endswith("mix_factor"):
            weight.data = noise
        elif "norm" in name:
            weight.data = 1 + noise / 4
        else:
            fan_in = weight[0].numel()
            weight.data = noise * (3 if "to_" in name else 1.2) / fan_in**0.5
    return vae.eval().requires_grad_(False)
