"""Fixed weights and latents from a seed: all contenders compute the same function."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from benchmarks.plain import PlainDecoder

__all__ = [
    "LATENT_CHANNELS",
    "SCALE",
    "decoder_weights",
    "drawn_by_fan_in",
    "latents",
    "panned_latents",
]

LATENT_CHANNELS = 4
SCALE = 8
"""Pixels per latent, along a side."""
_LAST = "19"
_LAST_GAIN = 0.4
"""Brings most of the output into [0, 1], as a trained model's is."""


def decoder_weights(seed: int = 0) -> dict[str, Tensor]:
    """A state dict of TAESD's decoder under the official names: float32, drawn by fan-in."""
    state = drawn_by_fan_in(PlainDecoder.shapes(LATENT_CHANNELS), seed)
    state[f"{_LAST}.weight"] *= _LAST_GAIN
    state[f"{_LAST}.bias"] += 0.5
    return state


def drawn_by_fan_in(shapes: Mapping[str, torch.Size], seed: int = 0) -> dict[str, Tensor]:
    """Weights and biases of these names and shapes, in float32."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in sorted(shapes.items()):
        drawn = torch.randn(shape, generator=generator)
        fan_in = shape.numel() // shape[0]
        state[name] = drawn * (1.2 / fan_in) ** 0.5 if len(shape) == 4 else drawn * 0.05
    return state


def latents(side: int, count: int = 1, seed: int = 1) -> Tensor:
    """``count`` square planes of noise: (count, 4, side, side), float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, LATENT_CHANNELS, side, side, generator=generator)


def panned_latents(side: int, count: int, seed: int = 1) -> Tensor:
    """A video whose view moves by one latent a frame over a wide still: (count, 4, side, side).

    The picture moves by exactly 8 pixels a frame, so a video encoder has motion to find, as in a
    film, and not noise.
    """
    wide = latents(side + count - 1, seed=seed)[0, :, :side]
    return torch.stack([wide[:, :, shift : shift + side] for shift in range(count)])
