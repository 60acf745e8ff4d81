"""Networks without weights, which a checkpoint's names and shapes are held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from taesd_stream.models.network import Network

__all__ = ["difference", "empty_network"]


def empty_network(make: Callable[[], Network]) -> Network:
    """A network whose weights take no memory and hold nothing."""
    with torch.device("meta"):
        return make()


def difference(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> str | None:
    """The first difference between a network's shapes and a checkpoint's; None if none."""
    for name, shape in expected.items():
        if name not in state:
            return f"{name} is missing"
        if tuple(state[name].shape) != shape:
            return f"{name} is {tuple(state[name].shape)}, not {shape}"
    for name in state:
        if name not in expected:
            return f"{name} belongs to no layer"
    return None
