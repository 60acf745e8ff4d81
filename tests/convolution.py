"""PyTorch's convolution, and where tests put something else in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.conv import Conv

__all__ = ["Work", "convolution", "counted_work", "replace_convolution"]

# The kernel that `taesd_stream.models.layers.convolve` takes for float32 on this machine.
_WHERE, _NAME = (
    (torch, "mkldnn_convolution") if torch.backends.mkldnn.is_available() else (F, "conv2d")
)

convolution: Callable[..., Tensor] = getattr(_WHERE, _NAME)


def replace_convolution(patch: pytest.MonkeyPatch, by: Callable[..., Tensor]) -> None:
    """Let ``by``, which is called with the tensor and the weight first, stand in for it."""
    patch.setattr(_WHERE, _NAME, by)


@dataclass
class Work:
    """Multiply-adds of convolutions; of what they make and is left out, none."""

    done: int = 0


@contextmanager
def counted_work(
    besides: Callable[[Tensor, Tensor], int] = lambda tensor, weight: 0,
) -> Iterator[Work]:
    """Counts what convolutions multiply inside it.

    Args:
        besides: More to count for a convolution, given its input and its weight.
    """
    work = Work()
    forward = Conv.forward

    def counting(tensor: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        out = convolution(tensor, weight, *args, **kwargs)
        work.done += out.numel() * weight[0].numel() + besides(tensor, weight)
        return out

    def leaving_out(conv: Conv, *args: Any) -> Tensor:
        out = forward(conv, *args)
        made = out.untyped_storage().nbytes() // out.itemsize
        work.done -= (made - out.numel()) * conv.weight[0].numel()
        return out

    with pytest.MonkeyPatch.context() as patch:
        replace_convolution(patch, counting)
        patch.setattr(Conv, "forward", leaving_out)
        yield work
