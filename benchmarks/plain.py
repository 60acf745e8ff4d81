"""TAESD's decoder as plain PyTorch, written from its description: the common yardstick."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

__all__ = ["HALO", "NAIVE_TILE", "PlainDecoder", "decode_naive_tiles", "naive_recompute"]

HALO = 19
"""Latents on each side that a pixel of the decoder's output depends on."""
NAIVE_TILE = 64
"""Latents along the side of a naive tile, without its overlap."""
_WIDTH = 64


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(_WIDTH), nn.ReLU(), _conv(_WIDTH), nn.ReLU(), _conv(_WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return torch.relu(out + x)


class PlainDecoder(nn.Sequential):
    """(N, C, h, w) latents to (N, 3, 8 h, 8 w) pictures, mostly in [0, 1] but not clamped.

    Its parameters have the official names.
    """

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = [_Clamp(), _conv(channels), nn.ReLU()]
        for _ in range(3):
            layers += [_Block(), _Block(), _Block(), nn.Upsample(scale_factor=2), _up()]
        super().__init__(*layers, _Block(), nn.Conv2d(_WIDTH, 3, 3, padding=1))

    @staticmethod
    @cache
    def shapes(channels: int) -> dict[str, torch.Size]:
        """The shapes of its parameters, by name."""
        with torch.device("meta"):
            state = PlainDecoder(channels).state_dict()
        return {name: tensor.shape for name, tensor in state.items()}


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, _WIDTH, 3, padding=1)


def _up() -> nn.Conv2d:
    return nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, bias=False)


def decode_naive_tiles(decoder: nn.Module, z: Tensor, tile: int = NAIVE_TILE) -> Tensor:
    """Decode tiles with their whole halo each and crop: exact, and much computed twice.

    Args:
        z: (N, C, h, w), in the decoder's dtype.
        tile: Latents along a tile's side, without the halo.

    Returns:
        (N, 3, 8 h, 8 w) in the dtype of ``z``.
    """
    count, _, height, width = z.shape
    out = z.new_empty(count, 3, height * 8, width * 8)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(0, top - HALO), max(0, left - HALO)
            made = decoder(z[:, :, y : bottom + HALO, x : right + HALO])
            out[:, :, top * 8 : bottom * 8, left * 8 : right * 8] = made[
                :, :, (top - y) * 8 : (bottom - y) * 8, (left - x) * 8 : (right - x) * 8
            ]
    return out


def naive_recompute(tile: int = NAIVE_TILE) -> float:
    """Arithmetic of a tile far from any border, as a multiple of the undivided decode's.

    >>> round(naive_recompute(64), 2)
    2.54
    """
    return ((tile + 2 * HALO) / tile) ** 2
