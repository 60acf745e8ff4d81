"""A Ray cluster that is joined, or one of this machine alone that is started for a job."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from taesd_stream.engine.cores import usable_cores
from taesd_stream.errors import InputError
from taesd_stream.jobs.cluster.ray_library import load_ray

__all__ = ["Cluster", "check_cluster", "checked_address", "joined"]

AUTO: Final = "auto"
_LOCAL: Final = "local"
_LISTENS_SECONDS: Final = 10
_ADDRESS: Final = re.compile(r"(ray://)?[\w.\-\[\]:]+:\d+")
_CORES_OF_A_WORKER: Final = 4
"""A worker has so many cores, where its node has: more share each tile, which costs some."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster whose workers are ours to start.

    Attributes:
        ray: The library, which is connected.
        device: "cuda" or "cpu": what a worker computes on.
        threads: The cores that a worker may have; None is a few.
    """

    ray: Any
    device: str
    threads: int | None = None

    @property
    def cores(self) -> int:
        """The cores of each worker; with a GPU, those that feed it."""
        nodes = [int(node["Resources"].get("CPU", 0)) for node in self._nodes]
        least = min((count for count in nodes if count), default=1)
        return max(1, min(self.threads or _CORES_OF_A_WORKER, least))

    @property
    def workers(self) -> int:
        """How many workers there is room for."""
        return sum(self._room)

    @property
    def most_of_a_node(self) -> int:
        """The most workers that share a machine."""
        return max(self._room)

    @property
    def _room(self) -> list[int]:
        """How many workers there is room for on each node."""
        if self.device == "cuda":
            return [int(node["Resources"].get("GPU", 0)) for node in self._nodes]
        cores = self.cores
        return [int(node["Resources"].get("CPU", 0)) // cores for node in self._nodes]

    @property
    def resources(self) -> dict[str, float]:
        """What Ray shall set aside for a worker, by its own names."""
        if self.device == "cuda":
            return {"num_gpus": 1, "num_cpus": 1}
        return {"num_cpus": self.cores}

    @property
    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]


def checked_address(cluster: str) -> str:
    """What a user says of a cluster, if it is an address, or "auto".

    Raises:
        InputError: It is none.

    >>> checked_address("10.0.0.7:6379"), checked_address("auto")
    ('10.0.0.7:6379', 'auto')
    """
    if isinstance(cluster, str) and (cluster == AUTO or _ADDRESS.fullmatch(cluster)):
        return cluster
    raise InputError(
        "cluster: expected auto, or an address such as 10.0.0.7:6379 or ray://head:10001, found"
        f" {cluster!r}; on the command line, put --cluster last (cluster= in Python)"
    )


def check_cluster(cluster: str | None) -> None:
    """Refuse a cluster that cannot be, before anything is loaded; None is none.

    Raises:
        InputError: It is no address.
        MissingExtraError: Ray is not installed.
    """
    if cluster is not None:
        load_ray()
        checked_address(cluster)


@contextmanager
def joined(cluster: str, device: str, threads: int | None = None) -> Iterator[Cluster]:
    """Join a cluster for as long as the block lasts.

    Where this process is connected already, that is the cluster; "auto" is the one that the
    variable RAY_ADDRESS names, as in a Ray job, or else one of this machine's cores and GPUs that
    is started, without a dashboard, and stopped at the end.

    Args:
        cluster: An address, or "auto".
        device: "cuda" or "cpu": what workers compute on.
        threads: The cores that a worker may have; None is a few.

    Raises:
        InputError: There is no such cluster, or it has no such devices.
        MissingExtraError: Ray is not installed.
    """
    ray = load_ray()
    is_ours = not ray.is_initialized()
    if is_ours:
        with _own_signals():
            _connect(ray, cluster)
    try:
        made = Cluster(ray, device, threads)
        if not made.workers:
            raise InputError(
                f"cluster: expected nodes with {'GPUs' if device == 'cuda' else 'cores'}, found"
                " none; start workers, or give another --device (device= in Python)"
            )
        yield made
    finally:
        if is_ours:
            ray.shutdown()


@contextmanager
def _own_signals() -> Iterator[None]:
    """What is done on SIGTERM stays what it is: Ray would exit at once."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _connect(ray: Any, cluster: str) -> None:
    address = os.environ.get("RAY_ADDRESS", _LOCAL) if cluster == AUTO else cluster
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address != _LOCAL:
        _check_listens(address)
        ray.init(address=address, **quiet)
        return
    # Nothing leaves the machine, and nobody else is asked.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address=_LOCAL, num_cpus=usable_cores(), include_dashboard=False, **quiet)


def _check_listens(address: str) -> None:
    """Refuse an address at which nobody listens: Ray would try for minutes.

    Raises:
        InputError: That.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LISTENS_SECONDS).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"cluster: expected the head of a Ray cluster at {address}, found none ({error}); start"
            " it, or give another address"
        ) from error
