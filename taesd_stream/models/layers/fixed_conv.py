"""Convolutions whose weights do not change any more, in one call with what follows them.

Libraries add a sum and a ReLU while a result still is in registers, where they are told of them:
oneDNN on a CPU, cuDNN on a GPU. oneDNN also takes weights in the order that its kernels like.
PyTorch has the operators for its own compiler (torch/_inductor/fx_passes/mkldnn_fusion.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.convolve import convolve, has_mkldnn
from taesd_stream.models.layers.weight_orders import WeightOrders

__all__ = [
    "Convolution",
    "PlainConv",
    "fixed_convolution",
    "rectified",
]

Padding = tuple[int, int]
"""Zeros above and below, and to the left and the right."""

_ONE = (1, 1)


class Convolution(Protocol):
    """A convolution, and what comes after it.

    Attributes:
        weight: (C', C / groups, k, k), in whatever order.
        stride: Input elements from one output element to the next, along both axes.
        fuses: Whether a sum and a ReLU cost nothing more.
    """

    weight: Tensor
    stride: int

    @property
    def fuses(self) -> bool: ...

    def __call__(
        self,
        tensor: Tensor,
        padding: Padding,
        added: Tensor | None = None,
        slope: float | None = None,
        /,
    ) -> Tensor:
        """A convolution of (N, C, h, w), plus ``added``, then max(x, slope * x).

        Args:
            tensor: What is convolved.
            padding: Zeros around it.
            added: Of the shape of the result; None adds nothing.
            slope: Of negative values; None leaves them as they are.
        """


def fixed_convolution(
    weight: Tensor, bias: Tensor | None, *, stride: int = 1, groups: int = 1
) -> Convolution:
    """The quickest convolution of these weights, (C', C / groups, k, k), on their device."""
    if groups == 1 and weight.device.type == "cpu" and _fuses_on_cpu(weight.dtype):
        # In 16 bits oneDNN has returned memory that it had not written: see ``convolve``.
        if stride == 1 or weight.dtype == torch.float32:
            return _OneDnnConv(weight, bias, stride)
    elif groups == 1 and weight.device.type == "cuda":
        fused = _CudnnConv(weight, bias, stride)
        if fused.works():
            return fused
    return PlainConv(weight, bias, stride=stride, groups=groups)


class PlainConv:
    """PyTorch's convolution, and what follows it in place.

    Args:
        weight: (C', C / groups, k, k).
        bias: (C',).
        stride: Input elements from one output element to the next.
        groups: Into how many groups the channels fall that do not see each other.

    Attributes:
        weight: The same.
        stride: The same.
    """

    fuses = False

    def __init__(
        self, weight: Tensor, bias: Tensor | None, *, stride: int = 1, groups: int = 1
    ) -> None:
        self.weight, self.stride = weight, stride
        self._bias, self._groups = bias, groups

    def __call__(
        self,
        tensor: Tensor,
        padding: Padding,
        added: Tensor | None = None,
        slope: float | None = None,
        /,
    ) -> Tensor:
        made = convolve(
            tensor,
            self.weight,
            self._bias,
            stride=self.stride,
            padding=padding,
            groups=self._groups,
        )
        if added is not None:
            made.add_(added)
        return made if slope is None else rectified(made, slope)


class _OneDnnConv:
    """oneDNN's convolution with post-operations, of weights in its own order."""

    fuses = True

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int) -> None:
        self.stride, self._bias = stride, bias
        self._orders = WeightOrders(weight.detach(), stride)
        self.weight = self._orders.usual

    def __call__(
        self,
        tensor: Tensor,
        padding: Padding,
        added: Tensor | None = None,
        slope: float | None = None,
        /,
    ) -> Tensor:
        name, scalars = _after(slope)
        weight = self._orders.at(tensor, padding)
        how = (weight, self._bias, padding, (self.stride, self.stride), _ONE, 1)
        if added is None:
            return convolution_pointwise(tensor, *how, name, scalars, "")
        # There is no kernel for a sum with a leaky ReLU after it.
        made = convolution_binary(
            tensor, added, *how, "add", None, "relu" if slope == 0 else None, [], ""
        )
        return rectified(made, slope) if slope else made


class _CudnnConv:
    """cuDNN's convolution with a sum and a ReLU; other slopes follow it in place."""

    fuses = True

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int) -> None:
        self.weight, self._bias, self.stride = weight, bias, stride
        self._plain = PlainConv(weight, bias, stride=stride)

    def works(self) -> bool:
        """Whether cuDNN has kernels for these weights."""
        plane = self.weight.new_zeros(1, self.weight.shape[1], 16, 16)
        plane = plane.contiguous(memory_format=torch.channels_last)
        around = (self.weight.shape[-1] // 2,) * 2
        try:
            made = self(plane, around, None, 0.0)
            self(plane, around, made, 0.0)
        except RuntimeError:
            return False
        return True

    def __call__(
        self,
        tensor: Tensor,
        padding: Padding,
        added: Tensor | None = None,
        slope: float | None = None,
        /,
    ) -> Tensor:
        weight, bias, stride = self.weight, self._bias, (self.stride, self.stride)
        if slope != 0:
            return self._plain(tensor, padding, added, slope)
        if added is None:
            return torch.cudnn_convolution_relu(tensor, weight, bias, stride, padding, _ONE, 1)
        return torch.cudnn_convolution_add_relu(
            tensor, weight, added, 1.0, bias, stride, padding, _ONE, 1
        )


def convolution_pointwise(*arguments: Any) -> Tensor:
    """oneDNN's convolution and a function of each element."""
    made: Tensor = torch.ops.mkldnn._convolution_pointwise.default(*arguments)
    return made


def convolution_binary(*arguments: Any) -> Tensor:
    """oneDNN's convolution, a sum, and a function of each element."""
    made: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(*arguments)
    return made


def rectified(tensor: Tensor, slope: float = 0) -> Tensor:
    """max(x, slope * x), in place."""
    return F.leaky_relu_(tensor, slope) if slope else torch.relu_(tensor)


def _after(slope: float | None) -> tuple[str, list[float]]:
    """oneDNN's name for max(x, slope * x), and its figures."""
    if slope is None:
        return "none", []
    return ("leaky_relu", [slope]) if slope else ("relu", [])


@lru_cache(maxsize=8)
def _fuses_on_cpu(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, and this processor the kernels."""
    if not has_mkldnn():
        return False
    with torch.no_grad():
        weight = torch.ones(4, 4, 4, 4, dtype=dtype)
        plane = torch.ones(1, 4, 4, 4, dtype=dtype).contiguous(memory_format=torch.channels_last)
        try:
            made = _OneDnnConv(weight, None, 1)(plane, (2, 2), None, 0.0)
            _OneDnnConv(weight, None, 1)(plane, (2, 2), made, 0.0)
        except (AttributeError, RuntimeError):
            return False
    return True
