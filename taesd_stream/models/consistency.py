"""OpenAI's Consistency Decoder: a UNet that makes pictures of noise and latents in two steps.

Source: github.com/huggingface/diffusers, consistency_decoder_vae.py and
scheduling_consistency_decoder.py, whose names these are; the model is that of
github.com/openai/consistencydecoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from taesd_stream.models.consistency_step import ConsistencyStep
from taesd_stream.models.layers.global_layer import (
    AddKept,
    Divided,
    JoinKept,
    Keep,
    Part,
    ReadNoise,
)
from taesd_stream.models.layers.plain_parts import plain_parts
from taesd_stream.models.layers.pointwise import FirstChannels, Scale, SumOfPlanes
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from taesd_stream.models.unet import UNet, UNetSizes

__all__ = [
    "LATENT_CHANNELS",
    "PICTURE_CHANNELS",
    "TIMES",
    "ConsistencySizes",
    "consistency_decoder",
]

LATENT_CHANNELS: Final = 4
PICTURE_CHANNELS: Final = 3
TIMES: Final = (1008, 512)
"""The times of its two steps."""


# Of the latents that it was trained with, times the scaling factor.
_MEANS: Final = (0.38862467, 0.02253063, 0.07381133, -0.0171294)
_DEVIATIONS: Final = (0.9654121, 1.0440036, 0.76147926, 0.77022034)
_UNET: Final = UNetSizes(7, 6, (320, 640, 1024, 1024), 3)


@dataclass(frozen=True, slots=True)
class ConsistencySizes:
    """The sizes of a Consistency Decoder.

    Attributes:
        unet: Of its UNet.
        spatial_scale: Pixels per latent along an axis.
        factor: By which its latents are brought to the scale of the diffusion model's.
    """

    unet: UNetSizes = _UNET
    spatial_scale: int = 8
    factor: float = 0.18215


def consistency_decoder(sizes: ConsistencySizes) -> Network:
    """Latents, in the scale of Stable Diffusion's VAE, to pixels in [0, 1]."""
    return Network({"decoder_unet": _Decoder(sizes)}, LATENT_CHANNELS)


class _Decoder(UNet, Divided):
    """Both steps, of one UNet's weights."""

    def __init__(self, sizes: ConsistencySizes) -> None:
        super().__init__(sizes.unet)
        self._sizes = sizes

    def parts(self) -> Iterator[Part]:
        first, second = (ConsistencyStep.at(time, self._sizes.unet.steps) for time in TIMES)
        factors = [self._sizes.factor / deviation for deviation in _DEVIATIONS]
        offsets = [-mean / each for mean, each in zip(_MEANS, _DEVIATIONS, strict=True)]
        yield Scale(factors, offsets)
        yield Upsample(self._sizes.spatial_scale)
        yield Keep("latents")
        yield Keep("latents")

        yield ReadNoise((1, 2))
        yield Keep("sample")
        yield ReadNoise((1,))
        yield from self._predicted(TIMES[0], first.reads * first.noise)
        yield Scale([second.signal * first.makes] * PICTURE_CHANNELS)
        noises = second.signal * first.keeps * first.noise, second.noise
        yield AddKept(SumOfPlanes(noises), "sample")

        yield Keep("sample")
        yield from self._predicted(TIMES[1], second.reads)
        yield Scale([second.makes / 2] * PICTURE_CHANNELS, [0.5] * PICTURE_CHANNELS)
        yield AddKept(SumOfPlanes([second.keeps / 2]), "sample")

    def _predicted(self, time: int, factor: float) -> Iterator[Part]:
        """What the UNet makes of the plane that is read, times a factor, and of the latents."""
        yield JoinKept("latents")
        yield Scale([factor] * PICTURE_CHANNELS + [1.0] * LATENT_CHANNELS)
        yield from self.at(time)
        yield FirstChannels(PICTURE_CHANNELS)

    def plain(self, tensor: Tensor) -> Tensor:
        return plain_parts(self.parts(), tensor)
