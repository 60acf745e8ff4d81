"""The architectures: each builds a network from a few sizes, in the official numbering.

Source: github.com/madebyollin/taesd, for all but the linear map, whose factors say their own, and
nano, which is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SoftClamp
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.shuffles import PixelShuffle, PixelUnshuffle
from taesd_stream.models.layers.upsampling import SmoothUpsample, Upsample
from taesd_stream.models.linear_maps import LinearMap
from taesd_stream.models.network import Network

__all__ = [
    "latent2rgb_decoder",
    "nano_decoder",
    "nano_encoder",
    "taeqi_decoder",
    "taeqi_encoder",
    "taesana_decoder",
    "taesana_encoder",
    "taesd_decoder",
    "taesd_encoder",
]


def _block(width: int, *, pool: bool = False) -> Residual:
    convs = [Conv(width, width), ReLU(), Conv(width, width), ReLU(), Conv(width, width)]
    return Residual(Chain(convs), pool=GlobalPool(width) if pool else None)


def _blocks(count: int, width: int, *, pool: bool = False) -> list[Layer]:
    return [_block(width, pool=pool) for _ in range(count)]


def _up(width_in: int, width_out: int) -> list[Layer]:
    return [Upsample(2), Conv(width_in, width_out, bias=False)]


def taesd_decoder(latent_channels: int, *, pool: bool = False) -> Network:
    """Latents to pixels, 8 times as large: TAESD, TAESDXL, TAESD3, TAEF1; with ``pool`` TAEF2."""
    return _decoder(latent_channels, (64, 64, 64, 64), pool=pool)


def taesana_decoder(latent_channels: int) -> Network:
    """Latents to pixels, 32 times as large: the tiny decoder for Sana's DC-AE."""
    return _decoder(latent_channels, (256, 128, 64, 64, 64, 64))


def taeqi_decoder(latent_channels: int) -> Network:
    """Latents to RGBA pixels of straight alpha, 16 times as large: for Qwen-Image 2.1's VAE."""
    return _decoder(latent_channels, (256, 128, 64, 64), image_channels=4, patch=2)


def _decoder(
    latent_channels: int,
    widths: Sequence[int],
    *,
    pool: bool = False,
    image_channels: int = 3,
    patch: int = 1,
) -> Network:
    """Twice as large at the end of each stage, and at last ``patch`` times.

    Args:
        pool: Whether the first stage's blocks have a global branch.
    """
    layers: list[Layer] = [SoftClamp(), Conv(latent_channels, widths[0]), ReLU()]
    for stage, (width, next_width) in enumerate(pairwise(widths)):
        layers += [*_blocks(3, width, pool=pool and stage == 0), *_up(width, next_width)]
    layers += [_block(widths[-1]), Conv(widths[-1], image_channels * patch**2)]
    layers += [PixelShuffle(patch)] if patch > 1 else []
    return Network(dict(enumerate(layers)), latent_channels)


def taesd_encoder(latent_channels: int, *, pool: bool = False) -> Network:
    """Pixels to latents, 8 times as small: TAESD, TAESDXL, TAESD3, TAEF1; with ``pool`` TAEF2."""
    return _encoder([Conv(3, 64)], latent_channels, pool=pool)


def taesana_encoder(latent_channels: int) -> Network:
    """Pixels to latents, 32 times as small: the tiny encoder for Sana's DC-AE."""
    stem = [Conv(3, 32, stride=2), ReLU(), Conv(32, 64, stride=2), ReLU()]
    return _encoder(stem, latent_channels)


def taeqi_encoder(latent_channels: int) -> Network:
    """RGBA pixels of straight alpha to latents, 16 times as small: for Qwen-Image 2.1's VAE."""
    stem = [PixelUnshuffle(2), Conv(4 * 2**2, 64), ReLU()]
    return _encoder(stem, latent_channels, widths=(64, 64, 128, 256), image_channels=4)


def _encoder(
    stem: Sequence[Layer],
    latent_channels: int,
    *,
    pool: bool = False,
    widths: Sequence[int] = (64, 64, 64, 64),
    image_channels: int = 3,
) -> Network:
    """Three stages behind a ``stem`` and a block; ``pool`` is for the last one's blocks."""
    layers: list[Layer] = [*stem, _block(widths[0])]
    for stage, (width, next_width) in enumerate(pairwise(widths)):
        down = Conv(width, next_width, stride=2, bias=False)
        layers += [down, *_blocks(3, next_width, pool=pool and stage == 2)]
    layers += [Conv(widths[-1], latent_channels)]
    return Network(dict(enumerate(layers)), image_channels)


def nano_decoder() -> Network:
    """Latents of Stable Diffusion 1 to pixels, 8 times as large, with a seventh of TAESD's work.

    Most of TAESD's arithmetic is at the last two scales; here layers narrow as planes grow.
    """
    widths, counts = (64, 48, 32, 16), (2, 2, 2, 1)
    layers: list[Layer] = [Conv(4, widths[0]), ReLU(), *_blocks(counts[0], widths[0])]
    for (width, next_width), count in zip(pairwise(widths), counts[1:], strict=True):
        layers += [*_up(width, next_width), *_blocks(count, next_width)]
    layers += [Conv(widths[-1], 3)]
    return Network(dict(enumerate(layers)), 4)


def nano_encoder() -> Network:
    """Pixels to latents of Stable Diffusion 1, 8 times as small."""
    widths = (3, 16, 32, 64)
    layers: list[Layer] = []
    for width, next_width in pairwise(widths):
        layers += [Conv(width, next_width, stride=2), ReLU(), _block(next_width)]
    layers += [Conv(widths[-1], 4)]
    return Network(dict(enumerate(layers)), 3)


def latent2rgb_decoder(linear_map: LinearMap) -> Network:
    """A linear map from latents to colours, brought to full size smoothly: no weights needed."""
    colours = Conv(len(linear_map.factors), 3, kernel=1)
    # The published maps make RGB in [-1, 1].
    factors = torch.tensor(linear_map.factors, dtype=torch.float32).T / 2
    colours.weight = torch.nn.Parameter(factors[:, :, None, None])
    bias = torch.tensor(linear_map.bias, dtype=torch.float32)
    colours.bias = torch.nn.Parameter((bias + 1) / 2)
    return Network({0: colours, 1: SmoothUpsample(8)}, len(linear_map.factors))
