"""Programmes that PyTorch can differentiate, and that remember little for it.

Autograd keeps what every convolution read, which gradients of frozen weights have no use for. Here
a convolution keeps the signs of what a ReLU left of its output, a byte for each element, and a
gradient goes back through its adjoint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from taesd_stream.models.layers.adjoint import ConvAdjoint, EnlargingAdjoint
from taesd_stream.models.layers.fixed_conv import Convolution
from taesd_stream.models.layers.operators import Convolve, Enlarge, Operator, Rest
from taesd_stream.models.layers.programme import Programme
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["applied", "differentiable"]


def differentiable(programme: Programme) -> Programme:
    """The same operators, for autograd to go back through: the input alone has a gradient."""
    return Programme(map(_differentiable, programme.operators))


def _differentiable(operator: Operator) -> Operator:
    match operator:
        case Convolve():
            known = _KnownConv(operator.convolution, operator.adjoint())
            return replace(operator, convolution=known)
        case Enlarge():
            return _KnownEnlarging(operator, operator.adjoint())
        case Rest(run=Programme() as run):
            return replace(operator, run=differentiable(run))
    return operator


def applied(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    """What a function that autograd goes back through makes."""
    made: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return made


class _KnownConv:
    """A convolution and its adjoint.

    Args:
        convolution: Computes it.
        adjoint: Goes back.
    """

    fuses = True

    def __init__(self, convolution: Convolution, adjoint: ConvAdjoint) -> None:
        self.weight, self.stride = convolution.weight, convolution.stride
        self.convolution, self.adjoint = convolution, adjoint

    def __call__(
        self,
        tensor: Tensor,
        padding: tuple[int, int],
        added: Tensor | None = None,
        slope: float | None = None,
        /,
    ) -> Tensor:
        return applied(_Convolved, tensor, added, _Use(self, padding, slope))


@dataclass(frozen=True, slots=True)
class _Use:
    """How a convolution is used.

    Attributes:
        known: The convolution.
        padding: Zeros around what it reads.
        slope: Of negative values, for a ReLU after it; None for none.
    """

    known: _KnownConv
    padding: tuple[int, int]
    slope: float | None


@dataclass(frozen=True, slots=True)
class _KnownEnlarging:
    """An enlarging and its adjoint.

    Attributes:
        enlarge: Computes it.
        adjoint: Goes back.
    """

    enlarge: Enlarge
    adjoint: EnlargingAdjoint

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        return applied(_Enlarged, tensor, self, state)


class _Convolved(torch.autograd.Function):
    """A convolution, a sum and a ReLU."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, added: Tensor | None, use: _Use) -> Tensor:
        made = use.known.convolution(tensor, use.padding, added, use.slope)
        ctx.use, ctx.size, ctx.signs = use, tensor.shape[2:], _Signs.of(made, use.slope)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _before_relu(ctx.signs, gradient)
        of_input, of_added, _ = ctx.needs_input_grad
        use: _Use = ctx.use
        back = use.known.adjoint(gradient, use.padding, ctx.size) if of_input else None
        return back, gradient if of_added else None, None


class _Enlarged(torch.autograd.Function):
    """An enlarging and a ReLU."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, known: _KnownEnlarging, state: TileState) -> Tensor:
        made = known.enlarge(tensor, state)
        ctx.known = known
        ctx.around = known.enlarge.around(tensor.shape[2:], made.shape[2:])
        ctx.signs = _Signs.of(made, known.enlarge.slope)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gradient = _before_relu(ctx.signs, gradient)
        return ctx.known.adjoint(gradient, ctx.around), None, None


@dataclass(frozen=True, slots=True)
class _Signs:
    """The signs of what a ReLU made.

    Attributes:
        positive: Where it is more than zero: as bytes, for PyTorch multiplies slowly by bools.
        slope: Of negative values.
    """

    positive: Tensor
    slope: float

    @classmethod
    def of(cls, made: Tensor, slope: float | None) -> _Signs | None:
        if slope is None:
            return None
        positive = made > 0 if slope else made.bool()
        return cls(positive.view(torch.uint8), slope)

    def gain(self, dtype: torch.dtype) -> Tensor:
        """The derivative of the ReLU."""
        gain = self.positive.to(dtype)
        return gain.mul_(1 - self.slope).add_(self.slope) if self.slope else gain


def _before_relu(signs: _Signs | None, gradient: Tensor) -> Tensor:
    """The gradient of what a ReLU read, if there was one, as a tensor that kernels like."""
    if signs is not None:
        gradient = signs.gain(gradient.dtype).mul_(gradient)
    return gradient.contiguous(memory_format=torch.channels_last)
