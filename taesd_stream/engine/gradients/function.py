"""What a model computes, as a function that PyTorch can differentiate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from taesd_stream.errors import InputError
from taesd_stream.models.layers.differentiable import applied

__all__ = ["Way", "with_gradient"]


@dataclass(frozen=True, slots=True)
class Way:
    """The way from an input to an output, and back.

    Attributes:
        forward: Makes the output of the input.
        backward: Makes the gradient of the input, given the input, what was kept of the output, and
            the output's gradient.
        keep: Tells what the way back needs of the output; None for nothing.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor | None, Tensor], Tensor]
    keep: Callable[[Tensor], Tensor] | None = None


def with_gradient(way: Way, source: Tensor) -> Tensor:
    """The output of a way, which has a gradient; little more than the input is kept for it.

    >>> source = torch.ones(2, requires_grad=True)
    >>> way = Way(lambda given: given**2, lambda given, kept, gradient: 2 * given * gradient)
    >>> with_gradient(way, source).sum().backward()
    >>> source.grad
    tensor([2., 2.])
    """
    return applied(_Way, source, way)


class _Way(torch.autograd.Function):
    """A way there, recorded."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, way: Way) -> Tensor:
        made = way.forward(source)
        ctx.way = way
        ctx.kept = None if way.keep is None else way.keep(made)
        ctx.save_for_backward(source)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (source,) = ctx.saved_tensors
        with torch.no_grad():
            back = ctx.way.backward(source, ctx.kept, gradient)
        if torch.is_grad_enabled():  # with create_graph=True
            back = applied(_Once, back, source, gradient)
        return back, None


class _Once(torch.autograd.Function):
    """A gradient that has none itself."""

    @staticmethod
    def forward(ctx: Any, back: Tensor, source: Tensor, gradient: Tensor) -> Tensor:
        return back.clone()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[None, ...]:
        raise InputError(
            "decode, encode: expected a first derivative, found one of higher order asked for;"
            " leave create_graph out, or differentiate ae.decoder_module() or ae.encoder_module()"
        )
