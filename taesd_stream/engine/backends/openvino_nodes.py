"""Nodes of OpenVINO graphs, in fewer words than OpenVINO wants."""

from __future__ import annotations

import numpy as np
import openvino as ov
import openvino.opset13 as ops

__all__ = ["integers", "number", "rectified", "repeated"]


def rectified(node: ov.Output, slope: float) -> ov.Node:
    """What is positive, and what is not times a slope."""
    return ops.prelu(node, ops.constant(np.array([slope], np.float32))) if slope else ops.relu(node)


def repeated(node: ov.Output, factor: int) -> ov.Node:
    """Every element so many times along both axes."""
    return ops.interpolate(
        node,
        ops.constant(np.array([factor, factor], np.float32)),
        "nearest",
        "scales",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=integers(2, 3),
    )


def integers(*values: int) -> ov.Node:
    """Integers that do not change."""
    return ops.constant(np.array(values, np.int64))


def number(value: float) -> ov.Node:
    """A number that does not change."""
    return ops.constant(np.float32(value))
