"""Tensors on their way from the device to the host, while the device goes on computing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Transfer"]

Array = npt.NDArray[np.uint8]


class Transfer:
    """Copies of tensors of bytes, started when this is made; another thread may wait for them.

    On CUDA they go to pinned memory in the order of the current stream, after what computes them
    and before what is launched later: of a frame's decode the copy takes about a hundredth, so it
    gets no stream of its own. Pinned memory is not for keeping: use the arrays, and let them go.
    On a CPU nothing is copied.

    >>> Transfer([torch.ones(2, dtype=torch.uint8)]).arrays()
    (array([1, 1], dtype=uint8),)
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._arrival: torch.cuda.Event | None = None
        device = tensors[0].device
        if device.type == "cuda":
            self._tensors = [_to_pinned(tensor) for tensor in tensors]
            self._arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrival.record(torch.cuda.current_stream(device))
        else:
            self._tensors = [tensor.cpu() for tensor in tensors]

    def arrays(self) -> tuple[Array, ...]:
        """The tensors in the host's memory, once they are there."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return tuple(tensor.numpy() for tensor in self._tensors)


def _to_pinned(tensor: Tensor) -> Tensor:
    there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return there.copy_(tensor, non_blocking=True)
