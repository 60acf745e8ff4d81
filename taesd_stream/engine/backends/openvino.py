"""OpenVINO's backend, with what it keeps between processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from taesd_stream.engine.backends.backend import Backend
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import MissingExtraError
from taesd_stream.models.network import Network
from taesd_stream.models.weights.official import cache_folder

__all__ = ["openvino_backend"]

_MOST_CACHED_BYTES = 1 << 30


def openvino_backend(settings: Settings, network: Network, latents: Sequence[Tensor]) -> Backend:
    """The backend for a network on the CPU.

    Args:
        latents: (C, h, w) each, to find the ranges for int8 with; without any, the network computes
            in float32 where int8 was asked for, as encoders do.

    Raises:
        MissingExtraError: What 8 bits need is not installed.
    """
    from taesd_stream.engine.backends.openvino_kernels import OpenVinoBackend

    cache = cache_folder() / "compiled"
    _forget_oldest(cache)
    if settings.dtype != torch.int8:
        return OpenVinoBackend(settings.dtype, cache)
    if not latents:
        return OpenVinoBackend(torch.float32, cache)
    try:
        from taesd_stream.engine.backends.calibration import recipe_for
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"dtype: int8 needs {error.name}, which is not installed;"
            " pip install 'taesd-stream[openvino]'"
        ) from error
    recipe = recipe_for(network, latents, cache_folder() / "quantized")
    return OpenVinoBackend(settings.dtype, cache, {network.passes[-1].body: recipe})


def _forget_oldest(folder: Path) -> None:
    """Keep what is compiled from growing without end: every model adds to it."""
    files = sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime)
    total = sum(path.stat().st_size for path in files)
    for path in files:
        if total <= _MOST_CACHED_BYTES:
            break
        total -= path.stat().st_size
        path.unlink(missing_ok=True)
