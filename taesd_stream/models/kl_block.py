"""The block that AutoencoderKL and its kin are built of."""

from __future__ import annotations

from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_layer import GlobalLayer
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.plane_residual import PlaneResidual

__all__ = ["kl_block"]


def kl_block(width_in: int, width: int, groups: int) -> PlaneResidual:
    """Two convolutions, each after a norm, and what goes around them."""
    body: dict[str, Layer | GlobalLayer] = {
        "norm1": GroupNorm(width_in, groups),
        "conv1": Conv(width_in, width),
        "norm2": GroupNorm(width, groups),
        "conv2": Conv(width, width),
    }
    if width_in == width:
        return PlaneResidual(body)
    return PlaneResidual(body, ("conv_shortcut", Conv(width_in, width, kernel=1)))
