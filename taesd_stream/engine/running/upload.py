"""The way of what is read from the host to the device that computes."""

from __future__ import annotations

import torch
from torch import Tensor

from taesd_stream.engine.settings import Settings

__all__ = ["on_device"]


def on_device(part: Tensor, settings: Settings) -> Tensor:
    """(n, C, h, w) on the device, in the dtype and memory format that is computed in.

    A GPU is not waited for: what it copies from pinned memory takes its turn after all that was
    launched before, and the next kernels are launched meanwhile.
    """
    device, dtype = settings.device, settings.tensor_dtype
    if device.type == "cuda" and part.device.type == "cpu":
        # A copy that converts would go through memory that is not pinned.
        part = part.to(dtype, memory_format=torch.channels_last).pin_memory()
        return part.to(device, non_blocking=True)
    return part.to(device, dtype, memory_format=torch.channels_last)
