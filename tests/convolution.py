"""PyTorch's convolution, and where tests put something else in its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["convolution", "replace_convolution"]

# The kernel that `taesd_stream.models.convolve` takes for float32 on this machine.
_WHERE, _NAME = (
    (torch, "mkldnn_convolution") if torch.backends.mkldnn.is_available() else (F, "conv2d")
)

convolution: Callable[..., Tensor] = getattr(_WHERE, _NAME)


def replace_convolution(patch: pytest.MonkeyPatch, by: Callable[..., Tensor]) -> None:
    """Let ``by``, which is called with the tensor and the weight first, stand in for it."""
    patch.setattr(_WHERE, _NAME, by)
