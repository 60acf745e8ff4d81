"""Layers as an OpenVINO graph, for tiles whose place in the picture is known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import openvino as ov
import openvino.opset13 as ops

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SoftClamp
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.shuffles import PixelShuffle
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.upsampling import Upsample

__all__ = ["INPUT", "QuantizedConv", "Recipe", "Task", "graph_of", "switch_of"]

Array: TypeAlias = npt.NDArray[np.float32]
Task: TypeAlias = tuple[Span, Span]
"""Rows and columns of what the layers have to do."""

INPUT = "input"


@dataclass(frozen=True, slots=True)
class QuantizedConv:
    """A convolution in 8 bits.

    Attributes:
        weight: (C', C, k, k) int8.
        scale: (C', 1, 1, 1) float32; a weight is its integer times this.
        bias: (1, C', 1, 1) float32, corrected for what rounding does to the mean; None without.
    """

    weight: npt.NDArray[np.int8]
    scale: Array
    bias: Array | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run of layers in 8 bits: weights and ranges by the names that nodes are given here.

    Attributes:
        convs: Every convolution that is computed so.
        ranges: The lowest and highest value that the output of a node is kept in.
    """

    convs: Mapping[str, QuantizedConv] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def digest(self) -> str:
        """A digest of all its weights and ranges."""
        found = hashlib.blake2b(repr(sorted(self.ranges.items())).encode(), digest_size=8)
        for name, conv in sorted(self.convs.items()):
            found.update(name.encode())
            for array in (conv.weight, conv.scale, conv.bias):
                found.update(b"none" if array is None else array.tobytes())
        return found.hexdigest()


def graph_of(body: Chain, task: Task, batch: int, channels: int, recipe: Recipe) -> ov.Model:
    """A model of one input, what a tile reads, and one output, what is wanted of it."""
    return _model(body, task, [batch, channels, *(span.have.size for span in task)], recipe)


def switch_of(
    body: Chain, tasks: Sequence[Task], batch: int, channels: int, recipe: Recipe
) -> ov.Model:
    """One model for several tasks: its inputs are a task's index and a tile, zeros after its end.

    Models compiled apart hold the memory for their activations each for itself; the branches of one
    model share it, since only one of them runs at a time.
    """
    high = max(rows.have.size for rows, _ in tasks)
    wide = max(columns.have.size for _, columns in tasks)
    shape = [batch, channels, high, wide]
    return _choice([_model(body, task, shape, recipe) for task in tasks], 0, shape)


def _choice(models: Sequence[ov.Model], first: int, shape: list[int]) -> ov.Model:
    """One of several models by its number, counted from ``first``; halved, so that it is not deep.

    OpenVINO goes over what is inside a branch once for every branch around it.
    """
    if len(models) == 1:
        return models[0]
    half = len(models) // 2
    number, tile = ops.parameter([], np.int32), ops.parameter(shape, np.float32)
    is_before = ops.less(number, ops.constant(np.int32(first + half)))
    chosen = ops.if_op(is_before.output(0))
    before = _choice(models[:half], first, shape)
    after = _choice(models[half:], first + half, shape)
    chosen.set_then_body(before)
    chosen.set_else_body(after)
    # The last parameter of either is the tile; one that chooses again takes the number before it.
    *_, tile_before = before.get_parameters()
    *_, tile_after = after.get_parameters()
    chosen.set_input(tile.output(0), tile_before, tile_after)
    numbers = [
        model.get_parameters()[0] if len(model.get_parameters()) > 1 else None
        for model in (before, after)
    ]
    if any(numbers):
        chosen.set_input(number.output(0), *numbers)
    made = chosen.set_output(before.get_results()[0], after.get_results()[0])
    return ov.Model([made], [number, tile], "tiles")


def _model(body: Chain, task: Task, shape: list[int], recipe: Recipe) -> ov.Model:
    tile = ops.parameter(shape, np.float32, name=INPUT)
    node = tile.output(0)
    given = [span.have.size for span in task]
    if shape[2:] != given:
        node = _slice(node, slice(0, given[0]), slice(0, given[1]))
    made = _Emitter(recipe).emit(body, _ranged(recipe, INPUT, node), task, "")
    return ov.Model([made], [tile], "tile")


def _ranged(recipe: Recipe, name: str, node: ov.Output) -> ov.Output:
    """A node's output, kept in 256 steps of its range where it has one."""
    if name not in recipe.ranges:
        return node
    low, high = (ops.constant(np.float32(bound)) for bound in recipe.ranges[name])
    return ops.fake_quantize(node, low, high, low, high, 256).output(0)


def _slice(node: ov.Output, rows: slice, columns: slice) -> ov.Output:
    first, last = [rows.start, columns.start], [rows.stop, columns.stop]
    begin, end, step, axes = (
        ops.constant(np.array(values, np.int64)) for values in (first, last, [1, 1], [2, 3])
    )
    return ops.slice(node, begin, end, step, axes).output(0)


class _Emitter:
    """Adds nodes to a graph, named after the layers that they are of."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def emit(self, layer: Layer, node: ov.Output, task: Task, name: str) -> ov.Output:
        """The output of a layer for a node that is its input."""
        match layer:
            case Chain():
                for index, (each, y, x) in enumerate(layer.tasks(*task)):
                    node = self.emit(each, node, (y, x), f"{name}.{index}" if name else str(index))
                return node
            case Residual():
                return self._residual(layer, node, task, name)
            case Conv():
                return self._conv(layer, node, task, name)
            case EnlargingConv():
                return self._enlarging(layer, node, task, name)
            case ReLU():
                return self._named(ops.relu(node), name)
            case SoftClamp():
                third = ops.divide(node, ops.constant(np.float32(3)))
                return self._named(ops.multiply(ops.tanh(third), ops.constant(np.float32(3))), name)
            case Upsample():
                return _crop(self._repeat(node, layer.factor, task, name), task, layer.factor)
            case PixelShuffle():
                large = self._named(ops.depth_to_space(node, "depth_first", layer.factor), name)
                return _crop(large, task, layer.factor)
        raise TypeError(f"no graph for a layer of kind {type(layer).__name__}")

    def _named(self, node: ov.Node, name: str) -> ov.Output:
        node.set_friendly_name(name)
        return _ranged(self._recipe, name, node.output(0))

    def _conv(self, conv: Conv, node: ov.Output, task: Task, name: str) -> ov.Output:
        (above, below), (left, right) = map(conv.zeros, task)
        quantized = self._recipe.convs.get(name)
        made = ops.convolution(
            node,
            _weight(conv, quantized),
            strides=[conv.footprint.stride] * 2,
            pads_begin=[above, left],
            pads_end=[below, right],
            dilations=[1, 1],
        )
        bias = None if conv.bias is None else conv.bias.float().view(1, -1, 1, 1).numpy()
        if quantized is not None:
            bias = quantized.bias
        if bias is None:
            return self._named(made, name)
        made.set_friendly_name(name)
        return self._named(ops.add(made, ops.constant(bias)), f"{name}+bias")

    def _enlarging(self, layer: EnlargingConv, node: ov.Output, task: Task, name: str) -> ov.Output:
        """The two layers one after the other: here that is quicker than four small windows."""
        y, x = (layer.conv.span(span.want, span.size * 2) for span in task)
        large = self._repeat(node, 2, task, f"{name}+enlarged")
        rows, columns = task
        read = Span(rows.have, y.have, rows.size), Span(columns.have, x.have, columns.size)
        return self._conv(layer.conv, _crop(large, read, 2), (y, x), name)

    def _repeat(self, node: ov.Output, factor: int, task: Task, name: str) -> ov.Output:
        sizes = np.array([span.have.size * factor for span in task], np.int64)
        large = ops.interpolate(
            node,
            ops.constant(sizes),
            "nearest",
            "sizes",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=ops.constant(np.array([2, 3], np.int64)),
        )
        return self._named(large, name)

    def _residual(self, block: Residual, node: ov.Output, task: Task, name: str) -> ov.Output:
        around = _crop(node, task)
        inside = self.emit(block.conv, node, task, f"{name}.conv")
        both = self._named(ops.add(inside, around), f"{name}+sum")
        return self._named(ops.relu(both), name)


def _weight(conv: Conv, quantized: QuantizedConv | None) -> ov.Node:
    if quantized is None:
        return ops.constant(conv.weight.float().contiguous().numpy())
    integers = ops.convert(ops.constant(quantized.weight), np.float32)
    return ops.multiply(integers, ops.constant(quantized.scale))


def _crop(node: ov.Output, task: Task, factor: int = 1) -> ov.Output:
    """Cut what the spans want out of ``factor`` times what they have."""
    rows, columns = task
    whole = rows.have.scale(factor), columns.have.scale(factor)
    if whole == (rows.want, columns.want):
        return node
    return _slice(node, rows.want.within(whole[0]), columns.want.within(whole[1]))
