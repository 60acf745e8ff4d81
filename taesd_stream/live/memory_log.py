"""The memory that this process has used over time, for a plot of it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import psutil
import torch

__all__ = ["MemoryLog", "MemorySample"]

SECONDS: Final = 300
"""For so long samples are kept."""


@dataclass(frozen=True, slots=True)
class MemorySample:
    """What was in use at a time.

    Attributes:
        at: Seconds of ``time.monotonic``.
        process: Bytes of the host's memory that this process holds.
        device: Bytes that PyTorch holds of a GPU; None where there is none.
    """

    at: float
    process: int
    device: int | None


class MemoryLog:
    """Samples of the memory in use, one a second of the last five minutes.

    Args:
        device: The one that is computed on; None is the host.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._process = psutil.Process()
        self._device = device if device is not None and device.type == "cuda" else None
        self._samples: deque[MemorySample] = deque(maxlen=SECONDS)

    @property
    def samples(self) -> tuple[MemorySample, ...]:
        """All samples, the oldest first."""
        return tuple(self._samples)

    @property
    def latest(self) -> MemorySample:
        """The latest sample, or one of now where there is none yet."""
        samples = self.samples
        return samples[-1] if samples else self._sample()

    async def go_on(self) -> None:
        """Take a sample every second, until cancelled."""
        while True:
            self._samples.append(self._sample())
            await asyncio.sleep(1)

    def _sample(self) -> MemorySample:
        device = None if self._device is None else torch.cuda.memory_reserved(self._device)
        return MemorySample(time.monotonic(), self._process.memory_info().rss, device)
