"""Deterministic stand-in weights, the same on every machine.

The official checkpoints of most models are too large to keep here, so the
goldens beside this file were computed with weights drawn by this rule: an
integer hash of (seed, key, index), scaled by the layer's fan-in.  Only integer
arithmetic decides the values, so every platform gets the same float32 bits.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np


def _uniform(key: str, count: int, seed: int) -> np.ndarray:
    """`count` float64 values in [-1, 1), from splitmix64 of the index."""
    start = np.uint64(zlib.crc32(f"{seed}:{key}".encode())) << np.uint64(32)
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + start
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1.0


def synthetic_tensor(key: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """The float32 tensor for state-dict entry `key` of the given shape.

    4-d weights: uniform, variance 1.2 / fan_in.  1-d `*.bias`: uniform in
    [-0.1, 0.1).  1-d `*.weight` (GroupNorm): 1 + uniform in [-0.1, 0.1).
    """
    values = _uniform(key, int(np.prod(shape)), seed).reshape(shape)
    if len(shape) == 4:
        values = values * np.sqrt(3 * 1.2 / np.prod(shape[1:]))
    elif key.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values = 0.1 * values
    return values.astype(np.float32)


def synthetic_state_dict(model: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """All weights of one entry of manifest.json: its official keys and shapes.

    The decoder's last convolution (`model["last"]`) is scaled by
    `model["last_gain"]` and its bias raised by 0.5, so that most pixels fall
    inside [0, 1], as a trained model's do.
    """
    state = {k: synthetic_tensor(k, tuple(s), seed) for k, s in model["shapes"].items()}
    last = model["last"]
    state[f"{last}.weight"] *= np.float32(model["last_gain"])
    state[f"{last}.bias"] += np.float32(0.5)
    return state


def synthetic_latents(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """float32 latents of standard deviation about 1, clipped to [-3, 3]."""
    total = sum(_uniform(f"latents{i}", int(np.prod(shape)), seed) for i in range(3))
    return np.clip(total, -3, 3).reshape(shape).astype(np.float32)


def synthetic_images(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """float32 images in [0, 1]: noise, so that every pixel matters."""
    return (
        ((_uniform("images", int(np.prod(shape)), seed) + 1) / 2).reshape(shape).astype(np.float32)
    )
