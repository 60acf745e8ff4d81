"""A video model with fixed weights, and latents for it."""

from __future__ import annotations

import torch
from torch import Tensor

import taesd_stream as ts
from benchmarks.weights import drawn_by_fan_in
from taesd_stream.models import empty_network, variant_named

__all__ = ["clip_latents", "frames_of", "load_video_model"]

_NAME = "taehv"
_VARIANT = variant_named(_NAME)


def load_video_model(dtype: str, device: str) -> ts.AutoEncoder:
    """TAEHV's decoder with weights drawn by fan-in, under the official names."""
    network = empty_network(_VARIANT.decoder)
    shapes = {f"decoder.{name}": tensor.shape for name, tensor in network.state_dict().items()}
    state = drawn_by_fan_in(shapes)
    return ts.load(state, variant=_NAME, device=device, dtype=dtype, backend="torch")


def clip_latents(clip: tuple[int, int, int], seed: int = 1) -> Tensor:
    """So many latents of a height and a width, noise: (T, C, h, w), float32."""
    steps, height, width = clip
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(steps, _VARIANT.latent_channels, height, width, generator=generator)


def frames_of(steps: int) -> int:
    """The frames that so many latents become.

    >>> frames_of(6)
    21
    """
    up = 4
    return steps * up - (up - 1)
