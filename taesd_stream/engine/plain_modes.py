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
        for mode in _plain():
            modes.enter_context(mode)
        yield


class Computing:
    """Inside it layers compute in the dtype of their settings; not to be yielded out of.

    Every tile enters it, so that it takes no more than it must where nothing has been set.

    Args:
        settings: Where and how they compute.
        recorded: Whether autograd records it, to go back through it inside as well.
    """

    __slots__ = ("_modes", "_recorded", "_settings")

    def __init__(self, settings: Settings, *, recorded: bool = False) -> None:
        self._settings, self._recorded = settings, recorded
        self._modes: ExitStack | None = None

    def __enter__(self) -> None:
        wanted = [*_plain(), *self._of_kernels()]
        if self._recorded:
            wanted[:0] = [torch.inference_mode(False), torch.enable_grad()]
        elif not torch.is_inference_mode_enabled():
            wanted.insert(0, torch.inference_mode())
        if not wanted:
            return
        with ExitStack() as modes:
            for mode in wanted:
                modes.enter_context(mode)
            self._modes = modes.pop_all()

    def __exit__(self, *error: Any) -> None:
        if self._modes is not None:
            self._modes.close()

    def _of_kernels(self) -> Iterator[AbstractContextManager[object]]:
        if self._settings.device.type != "cuda" or self._settings.dtype != torch.float32:
            return
        # No TF32 where float32 was asked for: its 10 bits of mantissa are not float32's 23.
        cudnn = torch.backends.cudnn
        yield cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            benchmark_limit=cudnn.benchmark_limit,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        )


def _plain() -> list[AbstractContextManager[object]]:
    """What undoes each mode that is set and shall not be seen."""
    modes: list[AbstractContextManager[object]] = [
        torch.autocast(device, enabled=False)
        for device in _AUTOCAST_DEVICES
        if torch.is_autocast_enabled(device)
    ]
    if torch.empty(0).device.type != "cpu":
        modes.append(torch.device("cpu"))
    return modes


def _use_one_thread() -> None:
    """Keep a forked child from waiting forever for OpenMP's threads, which stay with the parent.

    PyTorch's own ``DataLoader`` does the same in its workers.
    """
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)
