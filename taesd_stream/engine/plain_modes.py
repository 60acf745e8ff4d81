"""The modes of PyTorch that a caller may have set, kept away from what is computed here.

Around what loads and what computes, autocast, a default device and recorded gradients are as if
nobody had set them; outside they stay what they are. Only modes of the current thread are touched:
what the whole process shares, such as the default dtype, is told explicitly wherever it matters.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch

from taesd_stream.engine.settings import Settings

__all__ = ["Computing", "loading"]

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps")


@contextmanager
def loading() -> Iterator[None]:
    """Inside it weights are made that can be used in every mode."""
    # A tensor made in inference mode could never leave it.
    with torch.inference_mode(False), torch.no_grad(), ExitStack() as modes:
        _enter_plain(modes)
        yield


class Computing:
    """Inside it layers compute in the dtype of their settings; not to be yielded out of.

    Every tile enters it, so that it takes no more than it must where nothing has been set.

    Args:
        settings: Where and how they compute.
    """

    __slots__ = ("_modes", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._modes: ExitStack | None = None

    def __enter__(self) -> None:
        is_inference = torch.is_inference_mode_enabled()
        flags = self._of_kernels()
        if is_inference and flags is None and not _are_set():
            return
        with ExitStack() as modes:
            if not is_inference:
                modes.enter_context(torch.inference_mode())
            _enter_plain(modes)
            if flags is not None:
                modes.enter_context(flags)
            self._modes = modes.pop_all()

    def __exit__(self, *error: Any) -> None:
        if self._modes is not None:
            self._modes.close()

    def _of_kernels(self) -> AbstractContextManager[None] | None:
        if self._settings.device.type != "cuda" or self._settings.dtype != torch.float32:
            return None
        # No TF32 where float32 was asked for: its 10 bits of mantissa are not float32's 23.
        cudnn = torch.backends.cudnn
        flags: AbstractContextManager[None] = cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            benchmark_limit=cudnn.benchmark_limit,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        )
        return flags


def _are_set() -> bool:
    """Whether any mode is set that shall not be seen."""
    if torch.empty(0).device.type != "cpu":
        return True
    return any(torch.is_autocast_enabled(device) for device in _AUTOCAST_DEVICES)


def _enter_plain(modes: ExitStack) -> None:
    for device in _AUTOCAST_DEVICES:
        if torch.is_autocast_enabled(device):
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
