"""Recipes: how layers are computed in 8 bits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["QuantizedConv", "Recipe"]

Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QuantizedConv:
    """A convolution in 8 bits.

    Attributes:
        weight: (C', C, k, k) int8, or as the node reads it otherwise.
        scale: (C', 1, 1, 1) float32, or as it fits; a weight is its integer times this.
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
