"""The base of layers that are one convolution, whose weights may be fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from taesd_stream.models.layers.fixed_conv import Convolution, PlainConv, fixed_convolution
from taesd_stream.models.layers.layer import Layer

__all__ = ["Convolving"]

A = TypeVar("A")


class Convolving(Layer, Generic[A]):
    """A layer that leaves its arithmetic to a convolution, and a gradient's to its adjoint."""

    def __init__(self) -> None:
        super().__init__()
        self._is_folded = False
        self._fixed: Convolution | None = None
        self._adjoint: A | None = None

    @property
    def convolution(self) -> Convolution:
        """What computes it: with its weights as they are now, until they are folded."""
        if not self._is_folded:
            return self._made_by(PlainConv)
        if self._fixed is None:
            self._fixed = self._made_by(fixed_convolution)
        return self._fixed

    def adjoint(self) -> A:
        """What brings a gradient of its output back to its input, of weights that are folded."""
        if self._adjoint is None:
            self._adjoint = self._made_adjoint()
        return self._adjoint

    def fold(self) -> None:
        self._is_folded = True

    def _made_by(self, make: Callable[..., Convolution]) -> Convolution:
        """Give its weights, and how they are used, to what makes a convolution of them."""
        raise NotImplementedError

    def _made_adjoint(self) -> A:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, object]:
        # oneDNN's order of the weights is this process's own, and made anew in a copy.
        return self.__dict__ | {"_fixed": None, "_adjoint": None}
