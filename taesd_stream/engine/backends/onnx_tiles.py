"""Layers as an ONNX graph for tiles of any size anywhere in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from taesd_stream.engine.backends.graph_cuts import is_cut_before
from taesd_stream.engine.backends.onnx_graph import Emitter
from taesd_stream.engine.backends.onnx_nodes import Nodes
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.layer import Layer

__all__ = ["OnnxTileGraph", "tile_graph"]

_CUTS = "cuts"


@dataclass(frozen=True, slots=True)
class OnnxTileGraph:
    """A graph that makes a tile, with the inputs, outputs and attributes of `graph_kernels`.

    Attributes:
        model: The graph.
    """

    model: ModelProto
    remembering: tuple[Layer, ...]
    steps: int
    sections: int = 1


def tile_graph(body: Chain, channels: int) -> OnnxTileGraph:
    """The graph of some layers that read so many channels."""
    nodes = Nodes(np.float32)
    layers = [(str(index), layer) for index, layer in enumerate(body.layers)]
    count = 2 * sum(is_cut_before(layer) for layer in body.layers)
    corners = nodes.split(_CUTS, "corners", count) if count else []
    emitter = Emitter(nodes, iter(corners))
    made = emitter.emit(layers, ["tile"], channels)
    memories = emitter.memories
    names = ["tile", *(each.before for each in memories)]
    inputs = [_tensor(name, TensorProto.FLOAT, 4) for name in names]
    inputs.insert(1, _tensor(_CUTS, TensorProto.INT64, 1))
    outputs = [*made, *(each.after for each in memories)]
    model = nodes.model("tile", inputs, [_tensor(name, TensorProto.FLOAT, 4) for name in outputs])
    return OnnxTileGraph(model, tuple(each.layer for each in memories), len(made))


def _tensor(name: str, kind: int, dimensions: int) -> ValueInfoProto:
    """An input or output whose sizes are found out when it is run."""
    return helper.make_tensor_value_info(name, kind, [None] * dimensions)
