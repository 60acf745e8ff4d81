"""Latents that wait: in memory while they are few, else in a scratch file."""

from __future__ import annotations

import torch
from torch import Tensor

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
        # By number; those from ``_taken`` up to ``_put`` that are missing here are in the file.
        self._memory: dict[int, Tensor] = {}
        self._taken = self._put = 0
        self._file: ScratchFile | None = None
        self._like: tuple[Tensor, torch.device] | None = None
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return self._put - self._taken

    def put(self, tensor: Tensor) -> None:
        """Take in one more, in the dtype and on the device of the first.

        Raises:
            OutputError: It should wait in the file, and there is no more room for that.
        """
        if self._like is None:
            self._like = torch.empty_like(tensor, device="cpu"), tensor.device
        like, device = self._like
        tensor = tensor.detach().to(device, like.dtype)
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
            place = self._places.pop(number, None)
            if self._file is not None and place is not None:
                self._file.free(place, taken[0].nbytes)
        self._taken += count
        return taken

    def all(self) -> Tensor | None:
        """All as one tensor, which go on waiting; None if there are none."""
        waiting = [self._get(number) for number in range(self._taken, self._put)]
        return torch.stack(waiting) if waiting else None

    def _write(self, tensor: Tensor) -> int:
        if self._file is None:
            self._file = ScratchFile()
        return self._file.add(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)

    def _get(self, number: int) -> Tensor:
        if number in self._memory:
            return self._memory[number]
        if self._file is None or self._like is None:
            raise LookupError(f"nothing number {number} was put in")
        like, device = self._like
        latent = torch.empty(like.shape, dtype=like.dtype, device="cpu")
        data = latent.flatten().view(torch.uint8).numpy().data
        self._file.read_into(self._places[number], data)
        return latent.to(device)
