"""Layers that make a plane smaller by averaging."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Operator, on_tensor
from taesd_stream.models.layers.span import Span
from tiling import Footprint

__all__ = ["AveragePool"]


class AveragePool(Layer):
    """The mean of every square of ``factor`` times ``factor`` elements."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.footprint = Footprint(kernel=factor, stride=factor)

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(partial(F.avg_pool2d, kernel_size=self.factor))

    def plain(self, tensor: Tensor) -> Tensor:
        return F.avg_pool2d(tensor, self.factor)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.want.size * columns.want.size * channels * (1 + self.factor**2)
