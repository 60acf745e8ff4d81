"""Nodes of ONNX graphs and the arrays that they read, in fewer words than ONNX wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import Tensor

from taesd_stream.errors import InputError

__all__ = ["OPSET", "Nodes"]

OPSET = 13
"""The version of ONNX's operators: the first in which all that is used here is as it is now."""


class Nodes:
    """The nodes of a graph in the order in which they run, each named after what it makes.

    Args:
        dtype: Of everything that is no integer: float32 or float16.

    Attributes:
        nodes: The nodes.
        arrays: What does not change, by name: weights, and the figures of nodes.

    >>> nodes = Nodes()
    >>> nodes.add("Relu", ["x"], "y"), [node.op_type for node in nodes.nodes]
    ('y', ['Relu'])
    """

    def __init__(self, dtype: npt.DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, TensorProto] = {}

    @property
    def kind(self) -> int:
        """ONNX's number for the dtype."""
        return helper.np_dtype_to_tensor_dtype(self.dtype)

    def add(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name, which is the node's."""
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def split(self, source: str, name: str, count: int, axis: int = 0) -> list[str]:
        """Cut a tensor into so many equal parts along an axis; returns their names."""
        parts = [f"{name}.{index}" for index in range(count)]
        self.nodes.append(helper.make_node("Split", [source], parts, name, axis=axis))
        return parts

    def model(
        self,
        name: str,
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        **producer: str,
    ) -> ModelProto:
        """The nodes and the arrays as a model.

        Args:
            name: Of the graph.
            producer: ``producer_name`` and ``producer_version``, where a file tells them.
        """
        arrays = list(self.arrays.values())
        graph = helper.make_graph(self.nodes, name, inputs, outputs, arrays)
        opsets = [helper.make_opsetid("", OPSET)]
        version = helper.find_min_ir_version_for(opsets)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version, **producer)

    def rename(self, name: str, new: str) -> None:
        """Give what the last node makes another name: that of an output of the graph."""
        last = self.nodes[-1]
        if list(last.output) != [name]:
            raise ValueError(f"expected {name!r} of the last node, found {list(last.output)}")
        last.output[0] = new

    def weight(self, tensor: Tensor, name: str) -> str:
        """Weights, of any device and dtype, once for each name; returns the name."""
        if name not in self.arrays:
            values = tensor.detach().float().cpu().contiguous()
            largest = float(np.finfo(self.dtype).max)
            if float(values.abs().max()) > largest:
                raise InputError(
                    f"dtype: expected weights of up to {largest:g} for {self.dtype}, found"
                    f" {float(values.abs().max()):g} in '{name}'; give --dtype float32 (dtype= in"
                    " Python)"
                )
            self._keep(values.numpy().astype(self.dtype), name)
        return name

    def number(self, value: float) -> str:
        """A number; returns its name."""
        return self._keep(np.array(value, self.dtype), f"number {value:g}")

    def floats(self, *values: float) -> str:
        """Numbers that are float32 in every graph, as scales are; returns their name."""
        return self._keep(np.array(values, np.float32), f"floats {_listed(values)}")

    def integers(self, *values: int) -> str:
        """Integers; returns their name."""
        return self._keep(np.array(values, np.int64), f"integers {_listed(values)}")

    def _keep(self, array: npt.NDArray[Any], name: str) -> str:
        if name not in self.arrays:
            self.arrays[name] = numpy_helper.from_array(array, name)
        return name


def _listed(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
