"""The architectures that look back in time, in the official numbering.

Sources: github.com/madebyollin/taesdv, taem1, taehv. One time step becomes several by a 1x1
convolution. It does the same before the picture is enlarged as after it, where it would cost four
times as much, so the order here is not that of the numbers.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SignedToUnit, SoftClamp
from taesd_stream.models.layers.shuffles import PixelShuffle, PixelUnshuffle
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow, TimePool
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network

__all__ = [
    "taehv_decoder",
    "taehv_encoder",
    "taehv_super_decoder",
    "taehv_wide_decoder",
    "taesdv_decoder",
]

_WIDTHS = (256, 128, 64, 64)
_SUPER_WIDTHS = (512, 256, 128, 64)
_WIDE_WIDTHS = (1024, 512, 256, 64)


def _mem_block(width: int, slope: float = 0) -> MemBlock:
    relu = partial(ReLU, slope)
    convs = [Conv(2 * width, width), relu(), Conv(width, width), relu(), Conv(width, width)]
    return MemBlock(Chain(convs), slope=slope)


def _wide_block(width: int) -> MemBlock:
    groups = width // 64
    layers = [
        Conv(2 * width, width, kernel=1),
        ReLU(),
        Conv(width, width, groups=groups),
        ReLU(),
        Conv(width, width, kernel=1),
        ReLU(),
        Conv(width, width, groups=groups),
    ]
    return MemBlock(Chain(layers))


def _super_block(width: int) -> MemBlock:
    both = 2 * width
    layers = [
        Conv(both, both, kernel=7, bias=False, groups=both),
        Conv(both, 2 * both, kernel=1),
        ReLU(),
        Conv(2 * both, width, kernel=1, bias=False),
    ]
    return MemBlock(Chain(layers), rectified=False)


def taesdv_decoder(latent_channels: int) -> Network:
    """Latents to pixels, 8 times as large, one frame per latent."""
    width = 64
    layers: list[Layer] = [SoftClamp(), Conv(latent_channels, width), ReLU()]
    for _ in range(3):
        layers += [_mem_block(width) for _ in range(3)]
        layers += [Upsample(2), Conv(width, width, bias=False)]
    layers += [_mem_block(width), Conv(width, 3)]
    return Network(dict(enumerate(layers)), latent_channels)


def taehv_decoder(
    latent_channels: int,
    *,
    growth: tuple[int, ...] = (1, 2, 2),
    enlarging: tuple[int, ...] = (2, 2, 2),
    patch: int = 1,
    slope: float = 0,
    signed: bool = False,
    wide: bool = False,
) -> Network:
    """Latents to frames: TAEHV and, with ``growth`` (1, 2, 3), TAEM1.

    Args:
        growth: Steps that each stage makes of one.
        enlarging: How many times as large each stage makes the picture.
        patch: Pixels along a side that one element of the last layer stands for.
        slope: What negative values are multiplied by between layers.
        signed: Whether the last convolution makes pixels in [-1, 1], as LightX2V's for Hunyuan
            Video 1.5 does.
        wide: Whether blocks are wider and their convolutions grouped, as in ``taeltx2_3_wide``.
    """
    widths = _WIDE_WIDTHS if wide else _WIDTHS
    block = _wide_block if wide else partial(_mem_block, slope=slope)
    layers: dict[int, Layer] = {
        0: SoftClamp(),
        1: Conv(latent_channels, widths[0]),
        2: ReLU(slope),
    }
    for stage, (width, next_width) in enumerate(pairwise(widths)):
        number = 3 + 6 * stage
        layers |= {number + each: block(width) for each in range(3)}
        layers[number + 4] = TimeGrow(width, growth[stage])
        if enlarging[stage] > 1:
            layers[number + 3] = Upsample(enlarging[stage])
        layers[number + 5] = Conv(width, next_width, bias=False)
    layers |= {21: ReLU(slope), 22: Conv(widths[-1], 3 * patch**2)}
    if patch > 1:
        layers[23] = PixelShuffle(patch)
    if signed:
        layers[24] = SignedToUnit()
    return Network(layers, latent_channels)


taehv_wide_decoder = partial(taehv_decoder, wide=True)
"""Latents to frames with wider blocks of grouped convolutions: ``taeltx2_3_wide``."""


def taehv_super_decoder(
    latent_channels: int, *, growth: tuple[int, ...] = (1, 2, 2), patch: int = 2
) -> Network:
    """Latents to frames with wider, deeper blocks: the ``_super`` variants."""
    layers: dict[int, Layer] = {0: Conv(latent_channels, _SUPER_WIDTHS[0], 1, bias=False)}
    for stage, (width, next_width) in enumerate(pairwise(_SUPER_WIDTHS)):
        number = 1 + 7 * stage
        layers |= {number + block: _super_block(width) for block in range(3)}
        layers[number + 3] = Conv(width, next_width * 4)
        layers[number + 4] = PixelShuffle(2)
        layers[number + 5] = ReLU()
        layers[number + 6] = TimeGrow(next_width, growth[stage])
    layers |= {22: Conv(_SUPER_WIDTHS[-1], 3 * patch**2), 23: PixelShuffle(patch)}
    return Network(layers, latent_channels)


def taehv_encoder(
    latent_channels: int, *, pooling: tuple[int, ...] = (2, 2, 1), patch: int = 1
) -> Network:
    """Frames to latents: TAEHV and, with ``pooling`` (3, 2, 1), TAEM1.

    Args:
        pooling: Steps of which each stage makes one.
        patch: Pixels along a side that one element of the first layer stands for.
    """
    width = 64
    layers: dict[int, Layer] = {-1: PixelUnshuffle(patch)} if patch > 1 else {}
    layers |= {0: Conv(3 * patch**2, width), 1: ReLU()}
    for stage, stride in enumerate(pooling):
        number = 2 + 5 * stage
        layers[number] = TimePool(width, stride)
        layers[number + 1] = Conv(width, width, stride=2, bias=False)
        layers |= {number + 2 + block: _mem_block(width) for block in range(3)}
    layers[17] = Conv(width, latent_channels)
    return Network(layers, 3)
