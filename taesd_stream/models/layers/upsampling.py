"""Layers that enlarge a plane."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.operators import Operator, cut, on_tensor
from taesd_stream.models.layers.span import Span
from tiling import Footprint

__all__ = ["SmoothUpsample", "Upsample"]


class Upsample(Layer):
    """Every element repeated ``factor`` times along both axes (nearest neighbour)."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(upscale=factor)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(partial(F.interpolate, scale_factor=self.factor, mode="nearest"))
        yield from cut(rows, columns, self.factor)

    def plain(self, tensor: Tensor) -> Tensor:
        return F.interpolate(tensor, scale_factor=self.factor, mode="nearest")

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.have.size * columns.have.size * channels * (1 + self.factor**2)


class SmoothUpsample(Layer):
    """Bicubic interpolation (a = -0.75) to ``factor`` times the size.

    Past the plane's borders the nearest element is read. ``factor`` is a power of two: that keeps
    the sampling positions exact in floating point wherever a tile begins.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(kernel=4 * factor + 1, padding=2 * factor, upscale=factor)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(
            partial(F.interpolate, scale_factor=self.factor, mode="bicubic", align_corners=False)
        )
        yield from cut(rows, columns, self.factor)

    def plain(self, tensor: Tensor) -> Tensor:
        return F.interpolate(tensor, scale_factor=self.factor, mode="bicubic", align_corners=False)

    def work(self, channels: int) -> Iterator[Work]:
        yield Work(16 * channels, channels)

    def extents(self, span: Span) -> Iterator[int]:
        yield span.have.size * self.factor

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.have.size * columns.have.size * channels * (1 + self.factor**2)
