"""The base of layers that are one convolution, whose weights may be fixed."""

from __future__ import annotations

from collections.abc import Callable

from taesd_stream.models.layers.fixed_conv import Convolution, PlainConv, fixed_convolution
from taesd_stream.models.layers.layer import Layer

__all__ = ["Convolving"]


class Convolving(Layer):
    """A layer that leaves its arithmetic to a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self._is_folded = False
        self._fixed: Convolution | None = None

    @property
    def convolution(self) -> Convolution:
        """What computes it: with its weights as they are now, until they are folded."""
        if not self._is_folded:
            return self._made_by(PlainConv)
        if self._fixed is None:
            self._fixed = self._made_by(fixed_convolution)
        return self._fixed

    def fold(self) -> None:
        self._is_folded = True

    def _made_by(self, make: Callable[..., Convolution]) -> Convolution:
        """Give its weights, and how they are used, to what makes a convolution of them."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, object]:
        # oneDNN's order of the weights is this process's own, and made anew in a copy.
        return self.__dict__ | {"_fixed": None}
