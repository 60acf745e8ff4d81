"""Ray, which is an extra: it is imported where a job is to run on a cluster, and nowhere else."""

from __future__ import annotations

from typing import Any

from taesd_stream.errors import MissingExtraError

__all__ = ["load_ray"]


def load_ray() -> Any:
    """The library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "cluster: a cluster needs Ray, which is not installed; pip install 'taesd-stream[ray]'"
        ) from error
    return ray
