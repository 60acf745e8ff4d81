"""The base of layers that are built around another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.span import Span
from tiling import Footprint, Interval

__all__ = ["Block"]

L = TypeVar("L", bound=Layer)


class Block(Layer, Generic[L]):
    """A layer that reads and multiplies as the one inside it does, where it says nothing else.

    Attributes:
        conv: The layer inside, under the name that the official checkpoints give it.
    """

    def __init__(self, conv: L) -> None:
        super().__init__()
        self.conv = conv

    def reads(self, want: Interval, size: int) -> Interval:
        return self.conv.reads(want, size)

    def footprints(self) -> Iterator[Footprint]:
        return self.conv.footprints()

    def work(self, channels: int) -> Iterator[Work]:
        return self.conv.work(channels)

    def extents(self, span: Span) -> Iterator[int]:
        return self.conv.extents(span)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return self.conv.peak(rows, columns, channels)
