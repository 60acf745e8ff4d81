"""Gradients as tests of them want them: of the engine, of plain PyTorch, and how near they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from hypothesis import settings
from torch import Tensor

import taesd_stream as ts

__all__ = ["Half", "Models", "check", "plain", "properties", "pulled", "random_input"]

Models = Callable[..., ts.AutoEncoder]
Half = Literal["decode", "encode"]

properties = settings(max_examples=4, deadline=None, derandomize=True)

EXACT = 1e-11  # of the range, in float64: far from any kink that a rounding could step over


def random_input(ae: ts.AutoEncoder, half: Half, shape: tuple[int, ...]) -> Tensor:
    *batch, height, width = shape
    generator = torch.Generator().manual_seed(sum(shape))
    dtype = ae.settings.dtype
    if half == "decode":
        channels = ae.spec.latent_channels
        return torch.randn(*batch, channels, height, width, generator=generator, dtype=dtype)
    scale = ae.spec.spatial_scale
    plane = height * scale - height % 3, width * scale - width % 2  # no whole number of latents
    return torch.rand(*batch, 3, *plane, generator=generator, dtype=dtype)


def plain(ae: ts.AutoEncoder, half: Half) -> Callable[[Tensor], Tensor]:
    """The undivided network, cut to what ``decode`` cuts to."""
    module = ae.decoder_module() if half == "decode" else ae.encoder_module()
    return lambda source: module(source).clamp(0, 1) if half == "decode" else module(source)


def pulled(compute: Callable[[Tensor], Tensor], source: Tensor) -> Tensor:
    """The gradient of a sum with weights of what is made, which are the same every time."""
    leaf = source.clone().requires_grad_()
    made = compute(leaf)
    generator = torch.Generator().manual_seed(made.numel())
    gains = torch.randn(made.shape, generator=generator, dtype=torch.float64).to(made.dtype)
    (found,) = torch.autograd.grad(made, leaf, gains)
    return found


def check(found: Tensor, expected: Tensor, exact: float = EXACT) -> None:
    assert found.shape == expected.shape
    span = float(expected.max() - expected.min()) or float(expected.abs().max())
    assert span > 0
    assert float((found - expected).abs().max()) <= exact * span
