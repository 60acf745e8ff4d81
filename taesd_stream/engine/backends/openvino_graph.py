"""Layers as an OpenVINO graph, for tiles of any size anywhere in the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import openvino as ov
import openvino.opset13 as ops
from torch import Tensor

from taesd_stream.engine.backends.graph_cuts import is_cut_before, whole_layers
from taesd_stream.engine.backends.openvino_nodes import integers, number, rectified, repeated
from taesd_stream.engine.backends.recipe import QuantizedConv, Recipe
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv, spread_weight
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SignedToUnit, SoftClamp
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.shuffles import PixelShuffle
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow
from taesd_stream.models.layers.upsampling import Upsample

__all__ = ["TileGraph", "graph_of"]

_Steps: TypeAlias = list[ov.Output]
"""The time steps of a tile, each (1, C, h, w), or pictures, (n, C, h, w), as the only one."""

_INPUT = "input"


@dataclass(frozen=True, slots=True)
class TileGraph:
    """A graph that makes a tile, with the inputs, outputs and attributes of `graph_kernels`.

    Attributes:
        model: The graph.
    """

    model: ov.Model
    remembering: tuple[Layer, ...]
    steps: int
    sections: int


def graph_of(
    body: Chain,
    channels: int,
    recipe: Recipe | None = None,
    *,
    kept: ov.Type = ov.Type.f32,
    sections: int = 1,
) -> TileGraph:
    """The graph of some layers.

    Args:
        channels: Channels that they read.
        recipe: How to compute them in 8 bits; an empty one is for finding out.
        kept: The type of states.
        sections: The most sections of a tile, where its layers can make any.
    """
    whole = whole_layers(body)
    if whole == len(body.layers):
        sections = 1
    cut = list(map(is_cut_before, body.layers))
    count = 2 * (sum(cut[:whole]) + sections * sum(cut[whole:]))
    one = -1 if all(each.upscale == 1 for each in body.times()) else 1
    tile = ops.parameter([one, channels, -1, -1], np.float32, name=_INPUT)
    cuts = ops.parameter([2 * count], np.int64, name="cuts")
    corners = ops.split(cuts, ops.constant(np.int64(0)), count).outputs() if count else []
    emitter = _Emitter(recipe, iter(corners), kept)
    made = emitter.emit(body, tile.output(0), channels, sections)
    model = ov.Model([*made, *emitter.left], [tile, cuts, *emitter.states], "tile")
    return TileGraph(model, tuple(emitter.remembering), len(made) // sections, sections)


class _Emitter:
    """Adds nodes to a graph, named after the layers that they are of.

    Args:
        corners: Rows and columns where cuts begin and end, in order.
        kept: The type of states.

    Attributes:
        states: The parameters that are states.
        left: The results that are the next ones.
        remembering: The layers that they are of.
    """

    def __init__(self, recipe: Recipe | None, corners: Iterator[ov.Output], kept: ov.Type) -> None:
        self._recipe, self._corners, self._kept = recipe, corners, kept
        self._weights: dict[str, ov.Node] = {}
        self.states: list[ov.Node] = []
        self.left: list[ov.Output] = []
        self.remembering: list[Layer] = []

    def emit(self, body: Chain, tile: ov.Output, channels: int, sections: int) -> _Steps:
        """The steps that layers make of a tile, or its sections."""
        layers, whole = list(enumerate(body.layers)), whole_layers(body)
        steps = self._run(layers[:whole], [self._ranged(tile, _INPUT)], channels)
        for _, layer in layers[:whole]:
            channels = layer.out_channels(channels)
        if whole == len(layers):
            return steps
        made: _Steps = []
        for _ in range(sections):
            made += self._run(layers[whole:], steps, channels, len(made))
        return made

    def _run(
        self, layers: Sequence[tuple[int, Layer]], steps: _Steps, channels: int, section: int = 0
    ) -> _Steps:
        """The steps that numbered layers make, of a tile or of a section of it."""
        for index, layer in layers:
            name = _of_section(str(index), section)
            if is_cut_before(layer):
                steps = self._cut(steps, f"{name}+cut")
            steps = self._steps(layer, steps, name, channels)
            channels = layer.out_channels(channels)
        return steps

    def _cut(self, steps: _Steps, name: str) -> _Steps:
        begin, end = next(self._corners), next(self._corners)
        step, axes = integers(1, 1), integers(2, 3)
        made = []
        for index, node in enumerate(steps):
            here = _of_step(name, index)
            # Bytes are cut, where the range of what is cut out is known.
            part = ops.slice(self._ranged(node, here), begin, end, step, axes)
            part.set_friendly_name(here)
            made.append(part.output(0))
        return made

    def _steps(self, layer: Layer, steps: _Steps, name: str, channels: int) -> _Steps:
        """What a layer makes of all steps, each by itself, so that few are held at once."""
        if isinstance(layer, TimeGrow):
            return self._grown(layer, steps, name)
        if isinstance(layer, MemBlock):
            return self._remembered(layer, steps, name, channels)
        return [self._layer(layer, node, _of_step(name, step)) for step, node in enumerate(steps)]

    def _layer(self, layer: Layer, node: ov.Output, name: str) -> ov.Output:
        """The output of a layer for a node that is its input."""
        match layer:
            case Chain():
                for index, each in enumerate(layer.layers):
                    node = self._layer(each, node, f"{name}.{index}")
                return node
            case Residual():
                inside = self._layer(layer.conv, node, f"{name}.conv")
                return self._sum(inside, node, name, slope=0)
            case Conv():
                return self._conv(layer, node, name)
            case EnlargingConv():
                return self._enlarging(layer, node, name)
            case ReLU():
                return self._named(rectified(node, layer.slope), name)
            case SoftClamp():
                third = ops.divide(node, number(3))
                return self._named(ops.multiply(ops.tanh(third), number(3)), name)
            case SignedToUnit():
                half = ops.multiply(node, number(0.5))
                return self._named(ops.add(half, number(0.5)), name)
            case Upsample():
                return self._named(repeated(node, layer.factor), name)
            case PixelShuffle():
                large = ops.depth_to_space(node, "depth_first", layer.factor)
                return self._named(large, name)
        raise TypeError(f"no graph for a layer of kind {type(layer).__name__}")

    def _named(self, node: ov.Node, name: str) -> ov.Output:
        node.set_friendly_name(name)
        return self._ranged(node.output(0), name)

    def _ranged(self, node: ov.Output, name: str) -> ov.Output:
        """A node's output, kept in 256 steps of its range where it has one."""
        ranges = {} if self._recipe is None else self._recipe.ranges
        found = ranges.get(_of_all_sections(name))
        if found is None:
            return node
        low, high = map(number, found)
        return ops.fake_quantize(node, low, high, low, high, 256).output(0)

    def _quantized(self, name: str) -> QuantizedConv | None:
        return None if self._recipe is None else self._recipe.convs.get(_of_all_sections(name))

    def _conv(self, conv: Conv, node: ov.Output, name: str) -> ov.Output:
        weight, groups = conv.weight, conv.groups
        sides = [conv.footprint.padding] * 2
        where = [conv.footprint.stride] * 2, sides, sides, [1, 1]
        if groups == 1:
            made = ops.convolution(node, self._weight(weight, name), *where)
        else:
            apart = weight.view(groups, -1, *weight.shape[1:])
            made = ops.group_convolution(node, self._weight(apart, name), *where)
        return self._biased(made, conv.bias, name)

    def _biased(self, made: ov.Node, bias: Tensor | None, name: str) -> ov.Output:
        quantized = self._quantized(name)
        added = None if bias is None else bias.float().view(1, -1, 1, 1).numpy()
        if quantized is not None:
            added = quantized.bias
        if added is None:
            return self._named(made, name)
        made.set_friendly_name(name)
        # One of its own for every step: others OpenVINO does not add while it convolves.
        return self._named(ops.add(made, ops.constant(added)), f"{name}+bias")

    def _enlarging(self, layer: EnlargingConv, node: ov.Output, name: str) -> ov.Output:
        if self._recipe is not None:  # OpenVINO has no transposed convolution of 8 bits for this
            large = self._named(repeated(node, 2), f"{name}+enlarged")
            return self._conv(layer.conv, large, name)
        weight = self._weight(spread_weight(layer.conv.weight), name)
        made = ops.convolution_backprop_data(
            node, weight, [2, 2], pads_begin=[1, 1], pads_end=[1, 1]
        )
        return self._biased(made, layer.conv.bias, name)

    def _sum(self, inside: ov.Output, around: ov.Output, name: str, slope: float) -> ov.Output:
        both = self._named(ops.add(inside, around), f"{name}+sum")
        return self._named(rectified(both, slope), name)

    def _remembered(self, block: MemBlock, steps: _Steps, name: str, channels: int) -> _Steps:
        state = ops.parameter([1, channels, -1, -1], self._kept)
        self.states.append(state)
        self.left.append(ops.convert(steps[-1], self._kept).output(0))
        self.remembering.append(block)
        before = self._named(ops.convert(state, np.float32), f"{name}+before")
        made = []
        for step, (node, past) in enumerate(zip(steps, [before, *steps], strict=False)):
            here = _of_step(name, step)
            both = self._named(ops.concat([node, past], 1), f"{here}+both")
            inside = self._layer(block.conv, both, f"{here}.conv")
            if block.rectified:
                made.append(self._sum(inside, node, here, block.slope))
            else:
                made.append(self._named(ops.add(inside, node), here))
        return made

    def _grown(self, layer: TimeGrow, steps: _Steps, name: str) -> _Steps:
        """One convolution for every step that is made of one."""
        parts = layer.conv.weight.chunk(layer.time.upscale)
        made = []
        for step, node in enumerate(steps):
            for index, part in enumerate(parts):
                here = _of_step(f"{name}.{index}", step)
                weight = self._weight(part, here)
                made.append(
                    self._named(ops.convolution(node, weight, [1, 1], [0, 0], [0, 0], [1, 1]), here)
                )
        return made

    def _weight(self, weight: Tensor, name: str) -> ov.Node:
        quantized = self._quantized(name)
        if quantized is not None:
            integers = ops.convert(ops.constant(quantized.weight), np.float32)
            return ops.multiply(integers, ops.constant(quantized.scale))
        layer = _of_all_sections(name).rpartition("@")[2]
        if layer not in self._weights:
            array = weight.float().contiguous().numpy()
            self._weights[layer] = ops.constant(array, shared_memory=True)
        return self._weights[layer]


def _of_step(name: str, step: int) -> str:
    """The name of a node for one of several steps."""
    return f"{step}@{name}" if step else name


def _of_section(name: str, section: int) -> str:
    """The name of a node for one of several sections."""
    return f"{section}:{name}" if section else name


def _of_all_sections(name: str) -> str:
    """The name of the node for the first of them."""
    return name.rpartition(":")[2]
