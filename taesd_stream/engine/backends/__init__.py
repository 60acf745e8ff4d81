"""Kernels: who computes a run of layers for a tile, once it is known what the tile is."""

from taesd_stream.engine.backends.backend import Backend, Kernel
from taesd_stream.engine.backends.eager import EagerBackend

__all__ = ["Backend", "EagerBackend", "Kernel"]
