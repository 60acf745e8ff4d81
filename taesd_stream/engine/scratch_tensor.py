"""Tensors that wait in a scratch file."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from video.safe_files.scratch import ScratchFile

__all__ = ["ScratchTensor"]


class ScratchTensor:
    """One tensor's place in a scratch file, which is free again when this is gone.

    Args:
        file: The file.
        tensor: On any device.

    >>> waiting = ScratchTensor(ScratchFile(), torch.ones(2, 3))
    >>> waiting.read().shape
    torch.Size([2, 3])
    """

    def __init__(self, file: ScratchFile, tensor: Tensor) -> None:
        self._file = file
        self._shape, self._dtype, self._device = tensor.shape, tensor.dtype, tensor.device
        plain = tensor.detach().flatten().to("cpu").view(torch.uint8)
        self._place = file.add(plain.numpy().data)
        weakref.finalize(self, file.free, self._place, plain.numel()).atexit = False

    def read(self, device: torch.device | None = None) -> Tensor:
        """A fresh copy of it, contiguous, on a device; None is the one that it came from."""
        tensor = torch.empty(self._shape, dtype=self._dtype, device="cpu")
        self._file.read_into(self._place, tensor.flatten().view(torch.uint8).numpy().data)
        return tensor.to(device or self._device)
