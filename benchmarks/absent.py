"""The error of a contender that cannot take part, which says how to get it."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["Unavailable", "require"]

_INSTALL = {
    "diffusers": "pip install -c constraints.txt '.[benchmarks]'",
    "matplotlib": "pip install -c constraints.txt '.[benchmarks]'",
    "openvino": "pip install -c constraints.txt openvino",
    "nncf": "pip install -c constraints.txt nncf",
}


class Unavailable(Exception):  # noqa: N818 - it is an answer, not an error
    """A contender cannot run here; the message says why."""


def require(package: str) -> None:
    """Refuse politely where a package is not installed.

    Raises:
        Unavailable: That; the message says how to install it.
    """
    if find_spec(package) is None:
        raise Unavailable(f"{package} is not installed: {_INSTALL[package]}")
