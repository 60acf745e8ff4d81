"""Latents that wait: in memory while they are few, else in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from typing import IO

import torch
from torch import Tensor

__all__ = ["Spool"]

_MOST_IN_MEMORY_BYTES = 64 << 20


class Spool:
    """First in, first out; all tensors have one shape.

    >>> spool = Spool()
    >>> spool.put(torch.ones(3))
    >>> len(spool), spool.take(1)
    (1, tensor([[1., 1., 1.]]))
    """

    def __init__(self) -> None:
        # By number; those from ``_taken`` up to ``_put`` that are missing here are in the file.
        self._memory: dict[int, Tensor] = {}
        self._taken = self._put = 0
        self._file: IO[bytes] | None = None
        self._like: tuple[Tensor, torch.device] | None = None
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return self._put - self._taken

    def put(self, tensor: Tensor) -> None:
        """Take in one more, in the dtype and on the device of the first."""
        if self._like is None:
            self._like = torch.empty_like(tensor, device="cpu"), tensor.device
        like, device = self._like
        tensor = tensor.to(device, like.dtype)
        size = tensor.numel() * tensor.element_size()
        if (len(self._memory) + 1) * size <= _MOST_IN_MEMORY_BYTES:
            self._memory[self._put] = tensor.clone()
        else:
            self._places[self._put] = self._write(tensor)
        self._put += 1

    def take(self, count: int) -> Tensor:
        """The first ``count`` as one tensor (count, ...); they wait no longer."""
        numbers = range(self._taken, self._taken + count)
        taken = torch.stack([self._get(number) for number in numbers])
        for number in numbers:
            self._memory.pop(number, None)
            self._places.pop(number, None)
        self._taken += count
        return taken

    def all(self) -> Tensor | None:
        """All as one tensor, which go on waiting; None if there are none."""
        waiting = [self._get(number) for number in range(self._taken, self._put)]
        return torch.stack(waiting) if waiting else None

    def _write(self, tensor: Tensor) -> int:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="taesd-stream-")  # noqa: SIM115 (lives as this does)
            weakref.finalize(self, self._file.close)
        place = self._file.seek(0, 2)
        self._file.write(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return place

    def _get(self, number: int) -> Tensor:
        if number in self._memory:
            return self._memory[number]
        if self._file is None or self._like is None:
            raise LookupError(f"nothing number {number} was put in")
        like, device = self._like
        self._file.seek(self._places[number])
        read = bytearray(self._file.read(like.numel() * like.element_size()))
        return torch.frombuffer(read, dtype=like.dtype).view(like.shape).to(device)
