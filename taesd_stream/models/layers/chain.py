"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from torch import Tensor

from taesd_stream.models.layers.carry import joined
from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.operators import Nothing, Operator, Rest
from taesd_stream.models.layers.programme import Programme
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.state_region import StateRegion
from taesd_stream.models.layers.tile_state import TileState
from tiling import Footprint, Interval, Region

__all__ = ["Chain"]


_Task: TypeAlias = tuple[Layer, Span, Span]
"""A layer, and its rows and columns."""


class Chain(Layer):
    """Layers one after the other, numbered as ``nn.Sequential`` numbers them.

    Attributes:
        layers: The layers, in order.
    """

    is_made_of_others = True

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = tuple(layers)
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)
        self._spans = lru_cache(maxsize=1024)(self._find_spans)
        self._out_sizes = lru_cache(maxsize=256)(self._find_out_size)
        self._channels = lru_cache(maxsize=16)(self._find_channels)

    def _find_spans(self, want: Interval, size: int, continued: bool) -> tuple[Span, ...]:
        """One span per layer, found from the last to the first: here the halo shrinks."""
        sizes: list[int] = []
        for layer in self.layers:
            sizes.append(size)
            size = layer.out_size(size)
        spans: list[Span] = []
        for layer, layer_size in zip(reversed(self.layers), reversed(sizes), strict=True):
            spans.append(layer.span(want, layer_size, continued=continued))
            want = spans[-1].given
        return tuple(reversed(spans))

    def plain(self, tensor: Tensor) -> Tensor:
        for layer in self.layers:
            tensor = layer.plain(tensor)
        return tensor

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        return _operators(self.tasks(rows, columns), sweeps)

    def tasks(self, rows: Span, columns: Span) -> tuple[_Task, ...]:
        """The task of each layer for one tile."""
        return tuple(zip(self.layers, self._each(rows), self._each(columns), strict=True))

    def tasks_along(self, span: Span) -> tuple[tuple[Layer, Span], ...]:
        """The task of each layer along one axis of a tile."""
        return tuple(zip(self.layers, self._each(span), strict=True))

    def _reading(
        self, rows: Span, columns: Span, channels: int
    ) -> Iterator[tuple[Layer, Span, Span, int]]:
        """The task of each layer for one tile, and the channels that it reads."""
        reads = self._channels(channels)[:-1]
        return zip(self.layers, self._each(rows), self._each(columns), reads, strict=True)

    def _find_channels(self, channels: int) -> tuple[int, ...]:
        """The channels that each layer reads, and those that the last one makes."""
        found = [channels]
        for layer in self.layers:
            found.append(layer.out_channels(found[-1]))
        return tuple(found)

    def _each(self, span: Span) -> tuple[Span, ...]:
        return self._spans(span.want, span.size, span.carried > 0)

    def state_regions(self, rows: Span, columns: Span, channels: int) -> Iterator[StateRegion]:
        """Where each layer that has a state keeps it of, for one tile."""
        for layer, y, x, read in self._reading(rows, columns, channels):
            if layer.kept_steps:
                yield StateRegion(layer, read, Region(y.have, x.have))

    def reads(self, want: Interval, size: int) -> Interval:
        return self._spans(want, size, False)[0].have if self.layers else want

    def out_size(self, size: int) -> int:
        return self._out_sizes(size)

    def _find_out_size(self, size: int) -> int:
        for layer in self.layers:
            size = layer.out_size(size)
        return size

    def footprints(self) -> Iterator[Footprint]:
        for layer in self.layers:
            yield from layer.footprints()

    def times(self) -> Iterator[Footprint]:
        """The footprints of its layers along time, in order."""
        for layer in self.layers:
            yield layer.time

    def out_channels(self, channels: int) -> int:
        return self._channels(channels)[-1]

    def work(self, channels: int) -> Iterator[Work]:
        rate = Fraction(1)  # time steps that reach the layer per step that reaches the first
        for layer in self.layers:
            for part in layer.work(channels):
                yield Work(part.multiplied * rate, part.written * rate)
            channels = layer.out_channels(channels)
            rate *= Fraction(layer.time.upscale, layer.time.stride)

    def extents(self, span: Span) -> Iterator[int]:
        for layer, layer_span in zip(self.layers, self._each(span), strict=True):
            yield from layer.extents(layer_span)

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        # The caller holds the input until the last layer is done.
        held = rows.have.size * columns.given.size * channels
        most = surplus = 0
        made = 1
        for index, (layer, y, x, read) in enumerate(self._reading(rows, columns, channels)):
            peak = layer.peak(y, x, read)
            surplus = max(surplus, layer.surplus(y, x, read))
            most = max(most, held + peak if index else peak)
            if layer.time.upscale > 1:
                # The steps it made wait for their turn, and what they become for the last of them.
                held += layer.time.upscale * y.want.size * x.want.size * layer.out_channels(read)
                made *= layer.time.upscale
        if made > 1:
            most += 2 * made * rows.want.size * columns.want.size * self.out_channels(channels)
        # A layer's input and its output may both lie in tensors larger than they are.
        return most + 2 * surplus

    def signs(self, rows: Span, columns: Span, channels: int) -> int:
        kept, steps = 0, 1
        for layer, y, x, read in self._reading(rows, columns, channels):
            kept += steps * layer.signs(y, x, read)
            steps *= layer.time.upscale
        return kept

    def first_peak(self, rows: Span, columns: Span, channels: int) -> int:
        """The most elements held at once by the first layer."""
        for layer, y, x, read in self._reading(rows, columns, channels):
            return layer.peak(y, x, read)
        return 0

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        *_, (layer, y, x, read) = self._reading(rows, columns, channels)
        return layer.surplus(y, x, read)

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        tasks = self._reading(rows, columns, channels)
        return sum(layer.left(y, x, read) for layer, y, x, read in tasks)


def _operators(tasks: Sequence[_Task], sweeps: bool) -> Iterator[Operator]:
    for index, (layer, y, x) in enumerate(tasks):
        if not x.want.size:  # all of it was made for tiles to the left
            yield Nothing(layer.out_channels, y.want.size)
            continue
        if sweeps and not layer.is_made_of_others:
            yield from _completing(layer, x)
        yield from layer.operators(y, x, sweeps=sweeps)
        left = tasks[index + 1 :]
        if left and (layer.time.upscale > 1 or layer.time.stride > 1):
            yield Rest(Programme(_operators(left, sweeps)), in_turn=layer.time.upscale > 1)
            return


def _completing(layer: Layer, columns: Span) -> Iterator[Operator]:
    """Completes what a layer reads, of which only what is new comes; keeps what others read."""
    left: int | None = None
    stop = columns.want.stop
    if stop < layer.out_size(columns.size):
        first = layer.reads(Interval(stop, stop + 1), columns.size).start
        left = max(0, first - columns.have.start)
    if columns.carried or (left is not None and left < columns.have.size):
        yield _Complete(layer, left)


@dataclass(frozen=True, slots=True)
class _Complete:
    """What the tile to the left has left for a layer, beside what is new; and the next one's part.

    Attributes:
        layer: Whose input it is.
        left: The first column that is left for the next tile; None for none.
    """

    layer: Layer
    left: int | None

    def __call__(self, tensor: Tensor, state: TileState, /) -> Tensor:
        whole = joined(state.take(self.layer), tensor)
        if self.left is not None:
            state.leave(self.layer, whole[..., self.left :])
        return whole
