"""The modes of PyTorch that a caller may have set, kept away from what is computed here.

Around what loads and what computes, autocast, a default device and recorded gradients are as if
nobody had set them; outside they stay what they are. Only modes of the current thread are touched:
what the whole process shares, such as the default dtype, is told explicitly wherever it matters.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from taesd_stream.engine.settings import Settings

__all__ = ["computing", "loading"]

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps")


@contextmanager
def loading() -> Iterator[None]:
    """Inside it weights are made that can be used in every mode."""
    # A tensor made in inference mode could never leave it.
    with torch.inference_mode(False), torch.no_grad(), ExitStack() as modes:
        _enter_plain(modes)
        yield


@contextmanager
def computing(settings: Settings) -> Iterator[None]:
    """Inside it layers compute in the dtype of their settings; not to be yielded out of."""
    with torch.inference_mode(), ExitStack() as modes:
        _enter_plain(modes)
        if settings.device.type == "cuda" and settings.dtype == torch.float32:
            # No TF32 where float32 was asked for: its 10 bits of mantissa are not float32's 23.
            benchmark = torch.backends.cudnn.benchmark
            flags = torch.backends.cudnn.flags(enabled=True, benchmark=benchmark, allow_tf32=False)
            modes.enter_context(flags)
        yield


def _enter_plain(modes: ExitStack) -> None:
    for device in _AUTOCAST_DEVICES:
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            modes.enter_context(torch.autocast(device, enabled=False))
    if torch.empty(0).device.type != "cpu":
        modes.enter_context(torch.device("cpu"))


def _use_one_thread() -> None:
    """Keep a forked child from waiting forever for OpenMP's threads, which stay with the parent.

    PyTorch's own ``DataLoader`` does the same in its workers.
    """
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
