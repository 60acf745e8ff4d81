"""AutoencoderKLTemporalDecoder, the VAE of Stable Video Diffusion: it decodes frames in chunks.

Source: github.com/huggingface/diffusers, autoencoder_kl_temporal_decoder.py, whose names these are.
Its encoder is that of AutoencoderKL.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from taesd_stream.models.kl_architectures import KLSizes, Named, decoder_layers
from taesd_stream.models.kl_block import kl_block
from taesd_stream.models.layers.global_layer import Divided, Part
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.plane_residual import PlaneResidual
from taesd_stream.models.layers.pointwise import SignedToUnit
from taesd_stream.models.layers.temporal_conv import MixFactor, TemporalConv
from taesd_stream.models.network import Network

__all__ = ["svd_decoder"]

_TEMPORAL_EPS = 1e-5


def svd_decoder(sizes: KLSizes) -> Network:
    """Latents of the frames of a chunk, in the VAE's own scale, to pixels in [0, 1]."""
    return Network(dict(_decoder(sizes)), sizes.latent_channels, in_chunks=True)


def _decoder(sizes: KLSizes) -> Named:
    yield from decoder_layers(sizes, _SpatioTemporal)
    yield "time_conv_out", TemporalConv(3, 3)
    yield "to_unit", SignedToUnit()


class _SpatioTemporal(Divided):
    """A block over the plane of every frame, and one over the frames of every pixel.

    Of the second, a learned share is added to what goes around it.
    """

    def __init__(self, width_in: int, width: int, groups: int) -> None:
        super().__init__()
        self.time_mixer = MixFactor()
        self.spatial_res_block = kl_block(width_in, width, groups)
        self.temporal_res_block = PlaneResidual(
            {
                "norm1": GroupNorm(width, groups, _TEMPORAL_EPS, over_frames=True),
                "conv1": TemporalConv(width, width),
                "norm2": GroupNorm(width, groups, _TEMPORAL_EPS, over_frames=True),
                "conv2": TemporalConv(width, width, self.time_mixer),
            }
        )

    def parts(self) -> Iterator[Part]:
        yield from self.spatial_res_block.parts()
        yield from self.temporal_res_block.parts()

    def plain(self, tensor: Tensor) -> Tensor:
        return self.temporal_res_block.plain(self.spatial_res_block.plain(tensor))
