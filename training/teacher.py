"""The networks that nano learns from and is compared with, as ONNX files, on OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

__all__ = ["Encoder", "Preview"]

# What Stable Diffusion 1 multiplies its autoencoder's latents with.
_SCALE = np.float32(0.18215)
_ENCODER = "VAEencoder.onnx"
_PREVIEW = "VAEpreview.onnx"
# The preview's outputs: a picture as large as the latents, and the details at twice that size each.
_PREVIEW_LEVELS = ("output", "101", "92", "77")


def _compiled(path: Path, threads: int) -> Any:
    import openvino

    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    return core.compile_model(core.read_model(path), "CPU", exact)


class Encoder:
    """VAElight's encoder (Graphnull, Apache-2.0): a small stand-in for Stable Diffusion 1's.

    Args:
        folder: Where its file is.
        threads: How many compute.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._compiled = _compiled(folder / _ENCODER, threads)

    def __call__(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, h, w) in [0, 1], sides multiples of 8, to (N, 4, h / 8, w / 8), scaled."""
        made = self._compiled(pictures * np.float32(2) - np.float32(1))["latent"]
        return np.asarray(made * _SCALE, np.float32)


class Preview:
    """VAElight's preview decoder, which nano is compared with.

    Args:
        folder: Where its file is.
        threads: How many compute.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._compiled = _compiled(folder / _PREVIEW, threads)

    def __call__(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4, h, w), scaled, to (N, 3, 8 h, 8 w) in [0, 1].

        How the details are added up is not published: of the ways that suggest themselves, this
        comes nearest to the pictures.
        """
        levels = self._compiled(latents / _SCALE)
        total = torch.zeros(())
        for name, factor in zip(_PREVIEW_LEVELS, (8, 4, 2, 1), strict=True):
            level = torch.from_numpy(np.asarray(levels[name]))
            total = total + F.interpolate(level, scale_factor=factor, mode="bicubic")
        return np.asarray((total / 2 + 0.5).clamp(0, 1).numpy(), np.float32)
