"""Latents that look like those of pictures: neighbours in a plane alike, channels unlike."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

__all__ = ["in_patches", "one_by_one", "smooth"]


def smooth(*shape: int, seed: int = 0) -> Tensor:
    """Unit variance, (..., h, w); neighbours correlate by 0.8, and nothing else does."""
    random = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    planes = random.flatten(0, -3)[:, None]
    planes = avg_pool2d(pad(planes, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    return (planes / planes.std()).view(shape)


def in_patches(latents: Tensor) -> Tensor:
    """(N, C, h, w) as (N, tokens, 4C): FLUX.1, FLUX.2, Qwen-Image, Chroma and kin."""
    return rearrange(latents, "n c (h p) (w q) -> n (h w) (c p q)", p=2, q=2).contiguous()


def one_by_one(latents: Tensor) -> Tensor:
    """(N, C, T, h, w) as (N, tokens, C): LTX."""
    return rearrange(latents, "n c t h w -> n (t h w) c").contiguous()
