"""Latents on their way from whoever made them to the threads that decode or send them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from taesd_stream.engine.device_copies import Transfer
from taesd_stream.sinks.frames import copy_on_host

__all__ = ["take_latents"]


def take_latents(latents: Tensor) -> Callable[[], Tensor]:
    """Start to bring latents to the host; what is returned waits for them.

    Their owner may change them as soon as this returns, and a GPU is not waited for.

    >>> import torch
    >>> latents = torch.ones(1, 1, 2)
    >>> bring = take_latents(latents)
    >>> _ = latents.zero_()
    >>> bring()
    tensor([[[1., 1.]]])
    """
    if latents.device.type == "cuda":
        # Not on a stream of its own: what the owner does next must come after it.
        transfer = Transfer([latents.detach()])
        return lambda: transfer.tensors()[0]
    if latents.device.type == "cpu":
        copied = copy_on_host(latents)
        return lambda: copied
    there = latents.detach().clone()
    return there.cpu
