"""Convolution by the same kernel whatever the size of the input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["convolve", "has_mkldnn"]


def convolve(
    tensor: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    groups: int = 1,
) -> Tensor:
    """``torch.nn.functional.conv2d``, of which every part of a plane comes out the same to the bit.

    On a CPU, conv2d leaves float32 inputs of up to 20,480 elements to another kernel than larger
    ones, which rounds otherwise (``ConvParams::use_mkldnn`` in PyTorch's Convolution.cpp). A small
    tile would then differ from the same part of a large one in its last bits.

    Args:
        tensor: (N, C, h, w).
        weight: (C', C / groups, k, k).
        bias: (C',).
        stride: Input elements from one output element to the next, along both axes.
        padding: Zeros above and below, and to the left and the right.
        groups: Into how many groups the channels fall that do not see each other.

    >>> convolve(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).flatten().tolist()
    [4.0, 4.0, 4.0, 4.0]
    """
    if tensor.device.type == "cpu" and tensor.dtype == torch.float32 and has_mkldnn():
        return torch.mkldnn_convolution(
            tensor, weight, bias, padding, (stride, stride), (1, 1), groups
        )
    out_width = (tensor.shape[-1] + 2 * padding[1] - weight.shape[-1]) // stride + 1
    if stride > 1 and out_width == 1 and _is_narrow_on_cpu(tensor):
        # Here oneDNN returns memory that it has not written: seen with PyTorch 2.13 in bfloat16 at
        # stride 2, for outputs of one column and five rows or more. Wider ones take another kernel.
        wider = F.pad(tensor, (0, stride))
        return F.conv2d(wider, weight, bias, stride, padding, groups=groups)[..., :1]
    return F.conv2d(tensor, weight, bias, stride, padding, groups=groups)


def _is_narrow_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype in (torch.bfloat16, torch.float16)


def has_mkldnn() -> bool:
    """Whether PyTorch computes convolutions on a CPU with oneDNN."""
    mkldnn: Any = torch.backends.mkldnn
    return bool(mkldnn.is_available() and mkldnn.enabled)
