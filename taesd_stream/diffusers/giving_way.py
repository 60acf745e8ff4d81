"""How seldom pictures are made, so that a sampler on the same cores is not held up by them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.cores import SpareCores

__all__ = ["GivingWay"]

# A picture costs a sampler that is on all cores at most as much time as it takes.
_SHARE = 1 / 50
_TRIAL = 8  # latents per side


class GivingWay:
    """Says when a picture may be begun: where cores are idle, or it is a fiftieth of the time.

    A thread of low priority would not do: Python runs one thread at a time, and where other
    programs have the cores, one that has its turn and gets no core holds the sampler up by seconds.

    Args:
        model: Makes the pictures. One on a CPU makes a small one at once, to know how long it
            takes; any other one never gives way.
        threads: The cores of a CPU that it is made on; None is all.
    """

    def __init__(self, model: AutoEncoder, threads: int | None) -> None:
        self._cores = SpareCores()
        self._seconds_per_latent = 0.0
        self._is_on_cpu = model.settings.device.type == "cpu"
        if not self._is_on_cpu:
            return
        spec = model.spec
        latents = torch.zeros(1, spec.timing.least, spec.latent_channels, _TRIAL, _TRIAL)
        for _ in range(2):  # the first takes longer
            with self.timing(_TRIAL * _TRIAL):
                model.decode(latents, threads=threads)

    @contextmanager
    def timing(self, latents: int) -> Iterator[None]:
        """Inside it a picture of so many latents is made."""
        began = perf_counter()
        yield
        if self._is_on_cpu:
            self._seconds_per_latent = (perf_counter() - began) / latents

    def may_begin(self, latents: int, rested: float) -> bool:
        """Whether a picture of so many latents may be begun, so many seconds after the last one."""
        takes = latents * self._seconds_per_latent
        return self._cores.are_there() or rested * _SHARE >= takes * (1 - _SHARE)
