"""The base of all layers, which know which input they need for which output.

Every layer takes a tensor that covers a part of its input plane and returns exactly the part of its
output plane that it was asked for. Zeros are padded only where a footprint reaches past a true
border of the plane, so any division into tiles computes what the undivided network computes.

Tensors are (N, C, height, width), N being pictures or the time steps of a video in order. All
footprints are square, so rows and columns follow the same rule and are described by one ``Span``
each. Layers that look back in time keep what they need of earlier steps in a ``TileState``.

A tile may go on where the one to its left ended: then every layer makes only what it has not made
yet, and reads some of what it has read before (``Carry``).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from torch import Tensor, nn

from taesd_stream.models.layers.operators import Operator
from taesd_stream.models.layers.programme import Programme
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import POINTWISE, Footprint, Interval

__all__ = ["Layer", "Work"]


class Work(NamedTuple):
    """The work of a part that multiplies, per output element and input step.

    Attributes:
        multiplied: Multiply-adds.
        written: Channels that it writes.
    """

    multiplied: Fraction | int
    written: Fraction | int


class Layer(nn.Module):
    """Base of all layers: elementwise unless a subclass says otherwise.

    Attributes:
        footprint: What it reads along a side of the plane.
        time: What it reads along time.
        kept_steps: The most time steps of its input that it keeps for later ones.
        is_made_of_others: Whether it is other layers, arranged in some way.
    """

    footprint: Footprint = POINTWISE
    time: Footprint = POINTWISE
    kept_steps: int = 0
    is_made_of_others: bool = False

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        """The operators that make the spans' ``want`` of a tensor over their ``have``.

        A layer made of others is given the spans' ``given`` instead: these keep what else they
        need.

        Args:
            sweeps: Whether tiles of a row go on from each other, by way of a ``Carry``.
        """
        raise NotImplementedError

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        """Run the operators once."""
        return Programme(self.operators(rows, columns, sweeps=state.carry is not None))(
            tensor, state
        )

    def plain(self, tensor: Tensor) -> Tensor:
        """All that the layer makes of a whole input, (N, C, h, w), in plain differentiable PyTorch.

        For layers that look back in time, N counts the steps of one video. Nothing is changed in
        place, and the weights have gradients if they want them.
        """
        raise NotImplementedError

    def fold(self) -> None:
        """Prepare weights that are used in another form than they are loaded in, once for all.

        Afterwards they must not change.
        """

    def reads(self, want: Interval, size: int) -> Interval:
        """The part of an input axis of ``size`` that ``want`` is made of."""
        return self.footprint.reads(want).clip(0, size)

    def span(self, want: Interval, size: int, *, continued: bool = False) -> Span:
        """The task of making ``want`` from an input axis of ``size``.

        Args:
            continued: Whether all before ``want`` was made just now.
        """
        have = self.reads(want, size)
        if not continued or not want.start:
            return Span(have, want, size)
        known = self.reads(Interval(want.start - 1, want.start), size).stop
        if not want.size:
            return Span(Interval(known, known), want, size)
        return Span(have, want, size, max(0, known - have.start))

    def out_size(self, size: int) -> int:
        """Length of the output axis for an input axis of ``size``."""
        return self.footprint.out_size(size)

    def footprints(self) -> Iterator[Footprint]:
        """The footprints of the widest path through the layer."""
        yield self.footprint

    def out_channels(self, channels: int) -> int:
        """Channels of the output for an input of ``channels``."""
        return channels

    def work(self, channels: int) -> Iterator[Work]:
        """The work of each part that multiplies."""
        yield from ()

    def extents(self, span: Span) -> Iterator[int]:
        """Output elements along one axis of the same parts, in the same order."""
        yield from ()

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        """The most elements held at once for one input step, input and output included."""
        return rows.want.size * columns.want.size * channels

    def signs(self, rows: Span, columns: Span, channels: int) -> int:
        """Elements of one input step whose signs are kept, to go back through the layer."""
        return 0

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        """Elements that are held with its output and are no part of it."""
        return 0

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        """Elements of one input step that the tile to the left has left for this one."""
        return rows.have.size * columns.carried * channels
