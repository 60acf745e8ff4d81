"""PyTorch's own kernels, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.models.layers import Span
from taesd_stream.models.passes import Level

__all__ = ["EagerBackend"]


class EagerBackend:
    """Runs the layers as they are; nothing is compiled."""

    evens_tiles = False

    def kernel(self, level: Level, rows: Iterable[Span], columns: Iterable[Span]) -> Kernel:
        """The layers themselves."""
        return level.body
