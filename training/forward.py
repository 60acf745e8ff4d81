"""A network over a whole plane, in a form that gradients flow back through quickly.

The engine computes parts of planes, in place, without gradients. This is the same arithmetic, and a
test holds the two together.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network

__all__ = ["forward"]


def forward(network: Network, tensor: Tensor) -> Tensor:
    """Run a network of convolutions on (N, C, h, w).

    Raises:
        TypeError: It has a layer that is none of those trained here.
    """
    for layer in network.children():
        tensor = _forward(layer, tensor)
    return tensor


def _forward(layer: nn.Module, tensor: Tensor) -> Tensor:
    if isinstance(layer, Conv):
        stride, padding = layer.footprint.stride, layer.footprint.padding
        return F.conv2d(tensor, layer.weight, layer.bias, stride, padding)
    if isinstance(layer, ReLU):
        return F.relu(tensor)
    if isinstance(layer, Upsample):
        return F.interpolate(tensor, scale_factor=layer.factor, mode="nearest")
    if isinstance(layer, Residual) and layer.pool is None:
        body = tensor
        for each in layer.conv.layers:
            body = _forward(each, body)
        return F.relu(body + tensor)
    raise TypeError(f"expected a layer that can be trained here, found {type(layer).__name__}")
