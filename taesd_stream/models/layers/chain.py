"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from taesd_stream.models.layers.carry import Carry, joined
from taesd_stream.models.layers.layer import Layer, Work
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

    def _find_spans(self, want: Interval, size: int, continued: bool) -> tuple[Span, ...]:
        """One span per layer, found from the last to the first: here the halo shrinks."""
        sizes = [size]
        for layer in self.layers[:-1]:
            sizes.append(layer.out_size(sizes[-1]))
        spans: list[Span] = []
        for layer, layer_size in zip(reversed(self.layers), reversed(sizes), strict=True):
            spans.append(layer.span(want, layer_size, continued=continued))
            want = spans[-1].given
        return tuple(reversed(spans))

    def forward(self, tensor: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        return self._run(tensor, self.tasks(rows, columns), state)

    def tasks(self, rows: Span, columns: Span) -> tuple[_Task, ...]:
        """The task of each layer for one tile."""
        return tuple(zip(self.layers, self._each(rows), self._each(columns), strict=True))

    def _reading(
        self, rows: Span, columns: Span, channels: int
    ) -> Iterator[tuple[Layer, Span, Span, int]]:
        """The task of each layer for one tile, and the channels that it reads."""
        for layer, y, x in self.tasks(rows, columns):
            yield layer, y, x, channels
            channels = layer.out_channels(channels)

    def _each(self, span: Span) -> tuple[Span, ...]:
        return self._spans(span.want, span.size, span.carried > 0)

    def _run(self, tensor: Tensor, tasks: tuple[_Task, ...], state: TileState) -> Tensor:
        """Run the layers; where one makes many steps of few, the others take them in turn."""
        for index, (layer, y, x) in enumerate(tasks):
            if tensor.shape[0] == 0:  # a layer waits for more time steps
                break
            if not x.want.size:  # all of it was made for tiles to the left
                steps, channels = tensor.shape[:2]
                tensor = tensor.new_empty((steps, layer.out_channels(channels), y.want.size, 0))
                continue
            if state.carry is not None and not layer.is_made_of_others:
                tensor = _completed(tensor, layer, x, state.carry)
            tensor = layer(tensor, y, x, state)
            if layer.time.upscale > 1 and tensor.shape[0] > state.together:
                left = tasks[index + 1 :]
                parts = torch.split(tensor, state.together)
                return torch.cat([self._run(part, left, state) for part in parts])
        return tensor

    def state_regions(self, rows: Span, columns: Span, channels: int) -> Iterator[StateRegion]:
        """Where each layer that has a state keeps it of, for one tile."""
        for layer, y, x, read in self._reading(rows, columns, channels):
            if layer.kept_steps:
                yield StateRegion(layer, read, Region(y.have, x.have))

    def reads(self, want: Interval, size: int) -> Interval:
        return self._spans(want, size, False)[0].have if self.layers else want

    def out_size(self, size: int) -> int:
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
        for layer in self.layers:
            channels = layer.out_channels(channels)
        return channels

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

    def surplus(self, rows: Span, columns: Span, channels: int) -> int:
        surplus = 0
        for layer, y, x, read in self._reading(rows, columns, channels):
            surplus = layer.surplus(y, x, read)
        return surplus

    def left(self, rows: Span, columns: Span, channels: int) -> int:
        tasks = self._reading(rows, columns, channels)
        return sum(layer.left(y, x, read) for layer, y, x, read in tasks)


def _completed(tensor: Tensor, layer: Layer, columns: Span, carry: Carry) -> Tensor:
    """All that a layer reads, from what is new of it; what the next tile reads of it is left."""
    whole = joined(carry.take(layer), tensor)
    stop = columns.want.stop
    if stop < layer.out_size(columns.size):
        first = layer.reads(Interval(stop, stop + 1), columns.size).start
        carry.leave(layer, whole[..., max(0, first - columns.have.start) :])
    return whole
