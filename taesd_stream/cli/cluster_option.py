"""The option for a cluster of machines."""

from __future__ import annotations

import argparse

__all__ = ["add_cluster"]


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the cluster that a command is carried out on."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        nargs="?",
        const="auto",
        help="on the Ray cluster at this address, such as 10.0.0.7:6379; without one, on that of"
        " RAY_ADDRESS, or else on a local one of all cores or GPUs (extra ray)",
    )
