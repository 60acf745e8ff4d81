"""A Ray cluster of two nodes on this machine, which tests decode on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="needs Ray, an extra: pip install 'taesd-stream[ray]'")


@pytest.fixture(scope="session")
def nodes() -> Iterator[Any]:
    """Two nodes of one core each; ``nodes.address`` is where others join them."""
    from ray.cluster_utils import Cluster

    # Workers find the packages under test where this process does.
    root = str(Path(__file__).parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 2**28}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.add_node(num_cpus=1, object_store_memory=2**28)
        made.wait_for_nodes()
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()
