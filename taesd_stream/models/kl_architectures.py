"""The decoder and the encoder of AutoencoderKL: the VAEs of Stable Diffusion and FLUX.1.

Source: github.com/huggingface/diffusers, autoencoder_kl.py and vae.py, whose names these are; the
architecture is that of github.com/CompVis/latent-diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from taesd_stream.models.kl_block import kl_block
from taesd_stream.models.layers.attention import Attention
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.distribution import Mean
from taesd_stream.models.layers.global_layer import Divided
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import SignedToUnit, UnitToSigned
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network

__all__ = ["KLSizes", "Named", "decoder_layers", "kl_decoder", "kl_encoder"]

Named: TypeAlias = Iterator[tuple[str, Layer | Divided]]
"""Layers, in order, under their names."""
_MakeBlock: TypeAlias = Callable[[int, int, int], Divided]
"""Makes the block of so many channels before, so many after, and so many groups of a norm."""


@dataclass(frozen=True, slots=True)
class KLSizes:
    """The sizes of an AutoencoderKL.

    Attributes:
        latent_channels: Channels of a latent.
        widths: Channels of each scale, from pixels to latents.
        blocks: Blocks at each scale of the encoder; the decoder has one more.
        is_quantised: Whether there are the 1x1 convolutions ``quant_conv`` and ``post_quant_conv``.
        groups: Of every norm.
        attends: Whether the middle has an attention layer.
        in_chunks: Whether its decoder makes frames in chunks, as Stable Video Diffusion's does.
    """

    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 512, 512)
    blocks: int = 2
    is_quantised: bool = True
    groups: int = 32
    attends: bool = True
    in_chunks: bool = False


def kl_decoder(sizes: KLSizes) -> Network:
    """Latents, in the VAE's own scale, to pixels in [0, 1]."""
    return Network(dict(_decoder(sizes)), sizes.latent_channels)


def kl_encoder(sizes: KLSizes) -> Network:
    """Pixels in [0, 1] to the means of latents, in the VAE's own scale."""
    return Network(dict(_encoder(sizes)), 3)


def decoder_layers(sizes: KLSizes, block: _MakeBlock = kl_block) -> Named:
    """All from latents to pixels in [-1, 1], built of such blocks."""
    *narrower, widest = sizes.widths
    yield "conv_in", Conv(sizes.latent_channels, widest)
    yield from _middle(widest, sizes, block)
    widths = (widest, widest, *reversed(narrower))
    for scale, (width_in, width) in enumerate(pairwise(widths)):
        for index in range(sizes.blocks + 1):
            name = f"up_blocks.{scale}.resnets.{index}"
            yield name, block(width if index else width_in, width, sizes.groups)
        if scale < len(narrower):
            yield f"up_blocks.{scale}.upsamplers.0.enlarge", Upsample(2)
            yield f"up_blocks.{scale}.upsamplers.0.conv", Conv(width, width)
    yield "conv_norm_out", GroupNorm(widths[-1], sizes.groups)
    yield "conv_out", Conv(widths[-1], 3)


def _decoder(sizes: KLSizes) -> Named:
    channels = sizes.latent_channels
    if sizes.is_quantised:
        yield "post_quant_conv", Conv(channels, channels, kernel=1)
    yield from decoder_layers(sizes)
    yield "to_unit", SignedToUnit()


def _encoder(sizes: KLSizes) -> Named:
    yield "to_signed", UnitToSigned()
    yield "conv_in", Conv(3, sizes.widths[0])
    for scale, (width_in, width) in enumerate(pairwise((sizes.widths[0], *sizes.widths))):
        for index in range(sizes.blocks):
            name = f"down_blocks.{scale}.resnets.{index}"
            yield name, kl_block(width if index else width_in, width, sizes.groups)
        if scale < len(sizes.widths) - 1:
            down = Conv(width, width, stride=2, zeros_after_only=True)
            yield f"down_blocks.{scale}.downsamplers.0.conv", down
    yield from _middle(sizes.widths[-1], sizes, kl_block)
    yield "conv_norm_out", GroupNorm(sizes.widths[-1], sizes.groups)
    moments = 2 * sizes.latent_channels
    yield "conv_out", Conv(sizes.widths[-1], moments)
    if sizes.is_quantised:
        yield "quant_conv", Conv(moments, moments, kernel=1)
    yield "mean", Mean(sizes.latent_channels)


def _middle(width: int, sizes: KLSizes, block: _MakeBlock) -> Named:
    yield "mid_block.resnets.0", block(width, width, sizes.groups)
    if sizes.attends:
        yield "mid_block.attentions.0", Attention(width, sizes.groups)
    yield "mid_block.resnets.1", block(width, width, sizes.groups)
