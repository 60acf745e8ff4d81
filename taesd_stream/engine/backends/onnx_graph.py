"""Layers as nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from taesd_stream.engine.backends.graph_cuts import is_cut_before
from taesd_stream.engine.backends.onnx_nodes import Nodes
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SignedToUnit, SoftClamp
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.shuffles import PixelShuffle, PixelUnshuffle
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow, TimePool
from taesd_stream.models.layers.upsampling import SmoothUpsample, Upsample

__all__ = ["Emitter", "Memory"]

_CUBIC = {
    "mode": "cubic",
    "cubic_coeff_a": -0.75,
    "coordinate_transformation_mode": "half_pixel",
}
_NEAREST = {
    "mode": "nearest",
    "nearest_mode": "floor",
    "coordinate_transformation_mode": "asymmetric",
}


@dataclass(frozen=True, slots=True)
class Memory:
    """A layer's memory, as an input and an output of a graph.

    Attributes:
        layer: The layer that remembers the step before.
        channels: Of its input, (N, channels, h, w), which is what it remembers.
        before: The name of the input: the step before; zeros before the first.
        after: The name of the output: the last step.
    """

    layer: Layer
    channels: int
    before: str
    after: str


class Emitter:
    """Adds nodes, named after the layers that they are of.

    Steps of a video are tensors of their own, each (N, C, h, w).

    Args:
        nodes: Where to.
        corners: Where cuts begin and end, two names for each in the order of the layers before
            which there is one, as `graph_cuts` has it; None for a graph without cuts.

    Attributes:
        memories: What layers remember, in the order of the layers.
    """

    def __init__(self, nodes: Nodes, corners: Iterator[str] | None = None) -> None:
        self._nodes, self._corners = nodes, corners
        self.memories: list[Memory] = []

    def emit(
        self, layers: Iterable[tuple[str, Layer]], steps: Sequence[str], channels: int
    ) -> list[str]:
        """The steps that named layers make of some, one layer after the other.

        Args:
            layers: With the names of their weights in the official checkpoints.
            steps: The names of what the first of them reads, (N, channels, h, w) each.
        """
        made = list(steps)
        for name, layer in layers:
            if self._corners is not None and is_cut_before(layer):
                made = self._cut(made, name, self._corners)
            made = self._steps(layer, made, name, channels)
            channels = layer.out_channels(channels)
        return made

    def _cut(self, steps: Sequence[str], name: str, corners: Iterator[str]) -> list[str]:
        begin, end, axes = next(corners), next(corners), self._nodes.integers(2, 3)
        return [
            self._nodes.add("Slice", [node, begin, end, axes], str(_Name(f"{name}.cut", step)))
            for step, node in enumerate(steps)
        ]

    def _steps(self, layer: Layer, steps: list[str], name: str, channels: int) -> list[str]:
        match layer:
            case MemBlock():
                return self._remembered(layer, steps, name, channels)
            case TimeGrow():
                return self._grown(layer, steps, name)
            case TimePool():
                return self._pooled(layer, steps, name)
            case PixelUnshuffle():
                factor = layer.factor
                return [
                    self._gathered(node, factor, channels, _Name(name, step))
                    for step, node in enumerate(steps)
                ]
        return [self._layer(layer, node, _Name(name, step)) for step, node in enumerate(steps)]

    def _layer(self, layer: nn.Module, node: str, name: _Name) -> str:
        """The output of a layer for one step."""
        add, nodes = self._nodes.add, self._nodes
        match layer:
            case Chain():
                for index, each in enumerate(layer.layers):
                    node = self._layer(each, node, name.inside(str(index)))
                return node
            case Residual():
                return self._residual(layer, node, name)
            case Conv():
                return self._conv(layer, node, name)
            case EnlargingConv():
                return self._conv(layer.conv, self._repeated(node, 2, name.inside("large")), name)
            case ReLU():
                return self._rectified(node, layer.slope, name)
            case SoftClamp():
                third = add("Div", [node, nodes.number(3)], str(name.inside("third")))
                bent = add("Tanh", [third], str(name.inside("tanh")))
                return add("Mul", [bent, nodes.number(3)], str(name))
            case SignedToUnit():
                half = add("Mul", [node, nodes.number(0.5)], str(name.inside("half")))
                return add("Add", [half, nodes.number(0.5)], str(name))
            case Upsample():
                return self._repeated(node, layer.factor, name)
            case SmoothUpsample():
                scales = nodes.floats(1, 1, layer.factor, layer.factor)
                return add("Resize", [node, "", scales], str(name), **_CUBIC)
            case PixelShuffle():
                return add("DepthToSpace", [node], str(name), blocksize=layer.factor, mode="CRD")
        raise TypeError(f"no nodes for a layer of kind {type(layer).__name__}")

    def _residual(self, layer: Residual, node: str, name: _Name) -> str:
        if layer.pool is not None and self._corners is None:  # of tiles, the pass runs it
            node = self._pool(layer.pool, node, name.inside("pool"))
        inside = self._layer(layer.conv, node, name.inside("conv"))
        return self._rectified(
            self._nodes.add("Add", [inside, node], str(name.inside("sum"))), 0, name
        )

    def _conv(self, conv: Conv, node: str, name: _Name) -> str:
        footprint = conv.footprint
        return self._convolution(
            node,
            name,
            (conv.weight, conv.bias),
            strides=[footprint.stride] * 2,
            pads=[footprint.padding] * 4,
            group=conv.groups,
        )

    def _convolution(
        self, node: str, name: _Name, weights: tuple[Tensor, Tensor | None], **how: object
    ) -> str:
        weight, bias = weights
        inputs = [node, self._nodes.weight(weight, f"{name.layer}.weight")]
        if bias is not None:
            inputs.append(self._nodes.weight(bias, f"{name.layer}.bias"))
        return self._nodes.add("Conv", inputs, str(name), kernel_shape=[*weight.shape[2:]], **how)

    def _rectified(self, node: str, slope: float, name: _Name) -> str:
        if slope:
            return self._nodes.add("LeakyRelu", [node], str(name), alpha=slope)
        return self._nodes.add("Relu", [node], str(name))

    def _repeated(self, node: str, factor: int, name: _Name) -> str:
        scales = self._nodes.floats(1, 1, factor, factor)
        return self._nodes.add("Resize", [node, "", scales], str(name), **_NEAREST)

    def _gathered(self, node: str, factor: int, channels: int, name: _Name) -> str:
        """Squares of pixels side by side in channels, by windows that each pick one of them.

        Where a side is no multiple of the square's, its last element is repeated: as many as ever
        may be missing, since a window that does not fit is left out.
        """
        pads = self._nodes.integers(0, 0, 0, 0, 0, 0, factor - 1, factor - 1)
        larger = self._nodes.add("Pad", [node, pads], str(name.inside("pad")), mode="edge")
        picked = torch.eye(factor**2).view(factor**2, 1, factor, factor)
        return self._convolution(
            larger,
            name,
            (picked.repeat(channels, 1, 1, 1), None),
            strides=[factor] * 2,
            group=channels,
        )

    def _pool(self, pool: GlobalPool, node: str, name: _Name) -> str:
        """x + conv(relu(group_norm(conv(x)))), the norm as that of one channel for each group."""
        add, nodes, norm = self._nodes.add, self._nodes, pool.get_submodule("1")
        if not isinstance(norm, nn.GroupNorm):
            raise TypeError(f"part 1 of the branch must be its norm, not {type(norm).__name__}")
        ones = torch.ones(norm.num_groups)
        wide = self._convolution(node, name.inside("0"), (pool.get_parameter("0.weight"), None))
        shape = add("Shape", [wide], str(name.inside("shape")))
        grouped = add(
            "Reshape", [wide, nodes.integers(0, norm.num_groups, -1)], str(name.inside("groups"))
        )
        normal = add(
            "InstanceNormalization",
            [
                grouped,
                nodes.weight(ones, f"ones {norm.num_groups}"),
                nodes.weight(0 * ones, f"zeros {norm.num_groups}"),
            ],
            str(name.inside("normal")),
            epsilon=norm.eps,
        )
        apart = add("Reshape", [normal, shape], str(name.inside("channels")))
        gain, offset = (
            nodes.weight(values.view(-1, 1, 1), f"{name.layer}.1.{key}")
            for key, values in (("weight", norm.weight), ("bias", norm.bias))
        )
        scaled = add("Mul", [apart, gain], str(name.inside("gain")))
        shifted = add("Add", [scaled, offset], str(name.inside("1")))
        positive = self._rectified(shifted, 0, name.inside("2"))
        reduced = (pool.get_parameter("3.weight"), None)
        narrow = self._convolution(positive, name.inside("3"), reduced)
        return add("Add", [narrow, node], str(name))

    def _remembered(self, block: MemBlock, steps: list[str], name: str, channels: int) -> list[str]:
        number = len(self.memories)
        memory = Memory(block, channels, f"memory_{number}", f"next_memory_{number}")
        self.memories.append(memory)
        made = []
        for step, (node, past) in enumerate(zip(steps, [memory.before, *steps], strict=False)):
            here = _Name(name, step)
            both = self._nodes.add("Concat", [node, past], str(here.inside("both")), axis=1)
            inside = self._layer(block.conv, both, here.inside("conv"))
            if not block.rectified:
                made.append(self._nodes.add("Add", [inside, node], str(here)))
                continue
            both = self._nodes.add("Add", [inside, node], str(here.inside("sum")))
            made.append(self._rectified(both, block.slope, here))
        self._nodes.add("Identity", [steps[-1]], memory.after)
        return made

    def _grown(self, layer: TimeGrow, steps: list[str], name: str) -> list[str]:
        """One convolution for every step that is made of one."""
        parts = layer.conv.weight.chunk(layer.time.upscale)
        return [
            self._convolution(node, _Name(f"{name}.conv.{index}", step), (part, None))
            for step, node in enumerate(steps)
            for index, part in enumerate(parts)
        ]

    def _pooled(self, layer: TimePool, steps: list[str], name: str) -> list[str]:
        """One step of every few; a graph reads as many as make whole ones."""
        stride, made = layer.time.stride, []
        for step, parts in enumerate(_in_groups(steps, stride)):
            here = _Name(name, step)
            both = parts[0]
            if stride > 1:
                both = self._nodes.add("Concat", parts, str(here.inside("both")), axis=1)
            made.append(self._conv(layer.conv, both, here.inside("conv")))
        return made


@dataclass(frozen=True, slots=True)
class _Name:
    """The name of what a layer makes of one of several steps.

    Attributes:
        layer: The layer's name, under which it has its weights.
        step: The step.
    """

    layer: str
    step: int = 0

    def inside(self, part: str) -> _Name:
        """The name of a part of the layer."""
        return _Name(f"{self.layer}.{part}", self.step)

    def __str__(self) -> str:
        return f"{self.layer}@{self.step}" if self.step else self.layer


def _in_groups(steps: Sequence[str], size: int) -> Iterator[list[str]]:
    if len(steps) % size:
        raise ValueError(f"expected a multiple of {size} steps, found {len(steps)}")
    for first in range(0, len(steps), size):
        yield list(steps[first : first + size])
