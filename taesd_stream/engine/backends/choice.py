"""The backend of PyTorch's own kernels that a device gains most by."""

from __future__ import annotations

from taesd_stream.engine.backends.backend import Backend
from taesd_stream.engine.backends.cuda_graphs import CudaGraphs
from taesd_stream.engine.backends.eager import EagerBackend
from taesd_stream.engine.backends.recorded import RecordedBackend
from taesd_stream.engine.settings import Settings

__all__ = ["torch_backend"]


def torch_backend(settings: Settings) -> Backend:
    """The backend for one network with these settings.

    >>> from taesd_stream.engine.settings import resolve_settings
    >>> torch_backend(resolve_settings("cpu")).records
    False
    """
    if settings.device.type == "cuda":
        return RecordedBackend(CudaGraphs(settings.device))
    return EagerBackend()
