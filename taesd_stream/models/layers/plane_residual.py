"""Blocks with global layers, and whole planes that go around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_layer import AddKept, Divided, GlobalLayer, Keep, Part
from taesd_stream.models.layers.group_norm import GroupNorm, KnownNorm
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.residual import Sum

__all__ = ["PlaneResidual"]


class PlaneResidual(Divided):
    """body(x) + shortcut(x), where the body has global layers.

    Args:
        body: Its parts, under their names.
        shortcut: The name of the layer that goes around, and the layer, which is pointwise; None
            where x itself does.
    """

    def __init__(
        self,
        body: Mapping[str, Layer | GlobalLayer],
        shortcut: tuple[str, Layer] | None = None,
    ) -> None:
        super().__init__()
        self._body = tuple(body.values())
        self._around = () if shortcut is None else (shortcut[1],)
        for name, part in (*body.items(), *([shortcut] if shortcut else [])):
            self.add_module(name, part)

    def parts(self) -> Iterator[Part]:
        yield Keep()
        yield from self._body
        yield AddKept(*self._around)

    def known(self) -> Sum:
        """The same as one layer, for norms whose figures are known from elsewhere."""
        body = [KnownNorm(part) if isinstance(part, GroupNorm) else part for part in self._body]
        around = [layer for layer in self._around if isinstance(layer, Conv)]
        if len(around) < len(self._around) or not all(isinstance(part, Layer) for part in body):
            raise TypeError("expected norms alone to see whole planes, and a convolution around")
        return Sum(Chain([part for part in body if isinstance(part, Layer)]), *around)

    def plain(self, tensor: Tensor) -> Tensor:
        made = tensor
        for part in self._body:
            made = part.plain(made)
        for layer in self._around:
            tensor = layer.plain(tensor)
        return made + tensor
