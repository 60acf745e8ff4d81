"""Tensors on their way from the device to the host, while the device goes on computing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["OwnStream", "Transfer"]

Array = npt.NDArray[np.uint8]


class OwnStream:
    """A stream of a GPU beside the one that computes frames, on which they are brought away.

    The next frame is computed meanwhile: converting and copying one keep few parts of a GPU busy.

    Args:
        device: The device; only CUDA has streams, and on others nothing is done beside.

    >>> with OwnStream(torch.device("cpu")).after(torch.ones(2)):
    ...     torch.cuda.is_initialized()
    False
    """

    def __init__(self, device: torch.device) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @contextmanager
    def after(self, image: Tensor) -> Iterator[None]:
        """Inside it, work goes on this stream, when all is done that computes an image.

        Nobody may write to the image any more; to let it go is no matter.
        """
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(image.device))
        image.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield


class Transfer:
    """Copies of tensors of bytes, started when this is made; another thread may wait for them.

    On CUDA they go to pinned memory in the order of the current stream, which may be an
    ``OwnStream``. Pinned memory is not for keeping: use the arrays, and let them go. On a CPU
    nothing is copied.

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
