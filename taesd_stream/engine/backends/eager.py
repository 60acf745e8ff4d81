"""PyTorch's own kernels, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.span import Span

__all__ = ["EagerBackend"]


class EagerBackend:
    """Runs the layers as they are; nothing is compiled."""

    evens_tiles = False
    rounding = "none"

    def kernel(self, each: Pass, rows: Iterable[Span], columns: Iterable[Span]) -> Kernel:
        """The layers themselves."""
        return each.body
