"""Latents that wait: in memory while they are few, else in a scratch file."""

from __future__ import annotations

from collections import deque
from itertools import islice

import torch
from torch import Tensor

from taesd_stream.engine.scratch_tensor import ScratchTensor
from video.safe_files.scratch import ScratchFile

__all__ = ["Spool"]

_MOST_IN_MEMORY_BYTES = 64 << 20


class Spool:
    """A queue of tensors of one shape, first in, first out.

    What is taken out of the file makes room there, so that the file holds what waits and no more.

    >>> spool = Spool()
    >>> spool.put(torch.ones(3))
    >>> len(spool), spool.take(1)
    (1, tensor([[1., 1., 1.]]))
    """

    def __init__(self) -> None:
        self._waiting: deque[Tensor | ScratchTensor] = deque()
        self._in_memory = 0
        self._file: ScratchFile | None = None
        self._kind: tuple[torch.device, torch.dtype] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, tensor: Tensor) -> None:
        """Take in one more, in the dtype and on the device of the first.

        Raises:
            OutputError: It should wait in the file, and there is no more room for that.
        """
        self._kind = self._kind or (tensor.device, tensor.dtype)
        tensor = tensor.detach().to(*self._kind)
        fits = (self._in_memory + 1) * tensor.nbytes <= _MOST_IN_MEMORY_BYTES
        self._waiting.append(tensor.clone() if fits else self._write(tensor))
        self._in_memory += fits

    def take(self, count: int) -> Tensor:
        """The first ``count`` as one tensor (count, ...); they wait no longer."""
        if count > len(self):
            raise LookupError(f"expected {count} tensors that wait, found {len(self)}")
        taken = self._first(count)
        for _ in range(count):
            self._in_memory -= isinstance(self._waiting.popleft(), Tensor)
        return taken

    def all(self) -> Tensor | None:
        """All as one tensor, which go on waiting; None if there are none."""
        return self._first(len(self)) if self._waiting else None

    def _write(self, tensor: Tensor) -> ScratchTensor:
        self._file = self._file or ScratchFile()
        return ScratchTensor(self._file, tensor)

    def _first(self, count: int) -> Tensor:
        first = islice(self._waiting, count)
        return torch.stack([each if isinstance(each, Tensor) else each.read() for each in first])
