"""PyTorch's convolution, and where tests put something else in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers import fixed_conv
from taesd_stream.models.layers.operators import Convolve
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["Work", "before_convolutions", "counted_work"]

# The kernel that `taesd_stream.models.layers.convolve` takes for float32 on this machine.
_WHERE, _NAME = (
    (torch, "mkldnn_convolution") if torch.backends.mkldnn.is_available() else (F, "conv2d")
)
# Those that convolutions of fixed weights take.
_FUSED = ("convolution_pointwise", "convolution_binary")

convolution: Callable[..., Tensor] = getattr(_WHERE, _NAME)


def before_convolutions(patch: pytest.MonkeyPatch, around: Callable[..., None]) -> None:
    """Let ``around``, which is called with the tensor first, come before every convolution."""

    def replaced(kernel: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def convolve(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            around(tensor)
            return kernel(tensor, *args, **kwargs)

        return convolve

    patch.setattr(_WHERE, _NAME, replaced(convolution))
    for name in _FUSED:
        patch.setattr(fixed_conv, name, replaced(getattr(fixed_conv, name)))


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
    run = Convolve.__call__

    def counting(kernel: Callable[..., Tensor], place: int) -> Callable[..., Tensor]:
        def convolve(tensor: Tensor, *args: Any) -> Tensor:
            out, weight = kernel(tensor, *args), args[place]
            work.done += out.numel() * prod(weight.shape[1:]) + besides(tensor, weight)
            return out

        return convolve

    def leaving_out(step: Convolve, tensor: Tensor, state: TileState) -> Tensor:
        out = run(step, tensor, state)
        left, right, above, below = step.surplus
        made = (out.shape[2] + above + below) * (out.shape[3] + left + right)
        surplus = made - out.shape[2] * out.shape[3]
        work.done -= out.shape[0] * surplus * prod(step.convolution.weight.shape)
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_WHERE, _NAME, counting(convolution, 0))
        for place, name in enumerate(_FUSED):
            patch.setattr(fixed_conv, name, counting(getattr(fixed_conv, name), place))
        patch.setattr(Convolve, "__call__", leaving_out)
        yield work
