"""Tensors on their way between the host and the device, which goes on computing meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from taesd_stream.engine.settings import Settings
from taesd_stream.latents import are_finite, span_is_finite
from tiling import Block

__all__ = ["OwnStream", "Transfer", "asked_whether_finite", "brought_home", "on_device"]

Array = npt.NDArray[np.uint8]


def on_device(part: Tensor, settings: Settings) -> Tensor:
    """(n, C, h, w) on the device, in the dtype and memory format that is computed in.

    A GPU is not waited for: what it copies from pinned memory takes its turn after all that was
    launched before, and the next kernels are launched meanwhile.
    """
    device, dtype = settings.device, settings.tensor_dtype
    if device.type == "cuda" and part.device.type == "cpu":
        # A copy that converts, or closes gaps, would go through memory that is not pinned.
        dense = part.to(dtype).contiguous(memory_format=torch.channels_last)
        return dense.pin_memory().to(device, non_blocking=True)
    return part.to(device, dtype, memory_format=torch.channels_last)


class OwnStream:
    """A stream of a GPU beside the one that computes, on which results are brought away.

    The next one is computed meanwhile: converting and copying one keep few parts of a GPU busy.

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
    def after(self, tensor: Tensor) -> Iterator[None]:
        """Inside it, work goes on this stream, when all is done that computes a tensor.

        Nobody may write to the tensor any more; to let it go is no matter.
        """
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(tensor.device))
        tensor.record_stream(self._stream)
        with self.alone():
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside it, work goes on this stream, and waits for no other."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield


class Transfer:
    """Copies of tensors, started when this is made; another thread may wait for them.

    On CUDA they go to pinned memory in the order of the current stream, which may be an
    ``OwnStream``. Pinned memory is not for keeping: use them, and let them go. On a CPU nothing is
    copied.

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

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors in the host's memory, once they are there."""
        if self._arrival is not None:
            self._arrival.synchronize()
        return tuple(self._tensors)

    def arrays(self) -> tuple[Array, ...]:
        """The same of bytes, as arrays."""
        return tuple(tensor.numpy() for tensor in self.tensors())


def asked_whether_finite(numbers: Tensor) -> Callable[[], bool]:
    """Ask what ``are_finite`` tells, and go on; what is returned waits for the answer.

    A GPU answers when all is done that was asked before: who waits for it at once leaves it with
    nothing to do meanwhile.

    >>> asked_whether_finite(torch.tensor([0.0, torch.inf]))()
    False
    """
    if numbers.device.type != "cuda" or not numbers.numel():
        answer = are_finite(numbers)
        return lambda: answer
    span = Transfer([torch.stack(torch.aminmax(numbers.detach()))])
    return lambda: span_is_finite(*span.tensors()[0])


def brought_home(tiles: Iterable[tuple[Block, Tensor]]) -> Iterator[tuple[Block, Tensor]]:
    """Tiles in the host's memory, each copied while the next one is computed."""
    stream: OwnStream | None = None
    coming: tuple[Block, Transfer] | None = None
    for block, tile in tiles:
        if stream is None:
            stream = OwnStream(tile.device)
        with stream.after(tile):
            transfer = Transfer([tile])
        if coming is not None:
            yield coming[0], coming[1].tensors()[0]
        coming = block, transfer
    if coming is not None:
        yield coming[0], coming[1].tensors()[0]


def _to_pinned(tensor: Tensor) -> Tensor:
    # In the plain order: into any other, what is not laid out alike would go by way of memory that
    # is not pinned, and be waited for. The device brings it into this one.
    there = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return there.copy_(tensor, non_blocking=True)
