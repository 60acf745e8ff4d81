"""Weights in the orders that oneDNN's kernels read them in.

Where they come in another order, every call brings them there, which for a small tile takes as long
as half of the arithmetic. With AVX-512 one order is good for all sizes. With AVX2 each of some
sizes has its own, and from one of these to another takes 40 times as long (3.4 ms for 64 channels)
as from channels_last.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from time import perf_counter
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["WeightOrders"]

# Of larger ones, in places of a plane, the arithmetic takes so long that an order is no matter.
_MOST_PLACES = 1024
_MOST_SIZES = 256
# A packed order is told by its beginning.
_TOLD_BY_BYTES = 1024
_TRIALS = 3

_Key: TypeAlias = tuple[torch.Size, tuple[int, int], int]


class WeightOrders:
    """The weights of one convolution, in as many orders as its sizes want.

    Args:
        weight: (C', C, k, k) on a CPU; not changed any more.
        stride: Input elements from one output element to the next.

    Attributes:
        usual: The weights in the order that costs least for a size that is not known.

    >>> orders = WeightOrders(torch.ones(8, 8, 3, 3), stride=1)
    >>> orders.at(torch.zeros(1, 8, 5, 6), (1, 1)).shape
    torch.Size([8, 8, 3, 3])
    """

    def __init__(self, weight: Tensor, stride: int) -> None:
        self._stride = (stride, stride)
        self._is_one_for_all = torch.backends.cpu.get_cpu_capability() == "AVX512"
        if self._is_one_for_all:
            around = (weight.shape[-1] // 2,) * 2
            self.usual = _ordered(weight, around, self._stride, [1, weight.shape[1], 32, 32])
        else:
            self.usual = weight.contiguous(memory_format=torch.channels_last)
        self._by_size: dict[_Key, Tensor | None] = {}
        self._kept: dict[bytes, Tensor] = {}

    def at(self, tensor: Tensor, padding: tuple[int, int]) -> Tensor:
        """The weights for an input, (N, C, h, w), and zeros around it: its own once it came twice.

        The kernel is the same, and so is what it makes.
        """
        shape = tensor.shape
        if self._is_one_for_all or shape[0] * shape[2] * shape[3] > _MOST_PLACES:
            return self.usual
        # Kernels are for so many threads, and so are their orders.
        key = (shape, padding, torch.get_num_threads())
        own = self._by_size.get(key)
        if own is not None:
            return own
        if key not in self._by_size:
            if len(self._by_size) >= _MOST_SIZES:
                self._by_size.clear()
            self._by_size[key] = None
            return self.usual
        own = self._own(shape, padding) if _ordering_pays() else self.usual
        self._by_size[key] = own
        return own

    def _own(self, shape: torch.Size, padding: tuple[int, int]) -> Tensor:
        """The order for a size; sizes that want the same one share it."""
        own = _ordered(self.usual, padding, self._stride, list(shape))
        size: int = torch.ops.mkldnn._nbytes(own)
        beginning = ctypes.string_at(torch.ops.mkldnn.data_ptr(own), min(size, _TOLD_BY_BYTES))
        return self._kept.setdefault(b"%d " % size + beginning, own)


def _ordered(
    weight: Tensor, padding: tuple[int, int], stride: tuple[int, int], shape: list[int]
) -> Tensor:
    ordered: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, stride, (1, 1), 1, shape
    )
    return ordered


@lru_cache(maxsize=1)
def _ordering_pays() -> bool:
    """Whether this processor's kernels are quicker with weights in the order told for a size."""
    plane = torch.zeros(1, 64, 20, 6).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(64, 64, 3, 3).contiguous(memory_format=torch.channels_last)
    try:
        own = _ordered(weight, (0, 0), (1, 1), list(plane.shape))
        torch.ops.mkldnn.data_ptr(own)
        return _seconds(plane, own) < _seconds(plane, weight)
    except (AttributeError, RuntimeError):
        return False


def _seconds(plane: Tensor, weight: Tensor) -> float:
    """The least that a convolution takes."""
    least = float("inf")
    for _ in range(_TRIALS):
        began = perf_counter()
        torch.ops.mkldnn._convolution_pointwise.default(
            plane, weight, None, (0, 0), (1, 1), (1, 1), 1, "none", [], ""
        )
        least = min(least, perf_counter() - began)
    return least
