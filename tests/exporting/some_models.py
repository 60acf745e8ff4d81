"""Models with weights that are the same every time, narrow where they can be."""

from __future__ import annotations

import math

import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models import variant_named
from tests.engine.conftest import model_named, narrow_model_named
from tests.narrow_models import shapes_of

__all__ = ["some_model"]

_OF_GOLDENS = ("taeltx_2", "taehv1_5")
_OF_CHANCE = ("taeqi2_1", "taehv1_5_super", "lighttaehy1_5")


def some_model(name: str) -> ts.AutoEncoder:
    """A model on the CPU, in float32 and PyTorch."""
    if name in _OF_GOLDENS:
        return model_named(name)
    if name not in _OF_CHANCE:
        return narrow_model_named(name)
    generator = torch.Generator().manual_seed(len(name))
    weights = {
        key: _weights(shape, generator) for key, shape in shapes_of(variant_named(name)).items()
    }
    return ts.load(weights, variant=name, device="cpu", dtype="float32", backend="torch")


def _weights(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Such as keep the variance of what a layer reads."""
    spread = math.sqrt(3 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
    return (2 * torch.rand(shape, generator=generator) - 1) * spread
