"""Libraries that only some formats need."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from video.errors import MissingExtraError

__all__ = ["load_library", "require_library"]

_DISTRIBUTIONS = {"png": "pypng", "fsspec.core": "fsspec"}
_EXTRAS = {"fsspec.core": "remote"}


def require_library(module: str, what: str) -> None:
    """Raise MissingExtraError if ``module`` is not installed; nothing is imported."""
    if find_spec(module) is None:
        raise _missing(module, what)


def load_library(module: str, what: str) -> Any:
    """Import ``module``, or raise MissingExtraError."""
    try:
        return import_module(module)
    except ImportError as error:
        raise _missing(module, what) from error


def _missing(module: str, what: str) -> MissingExtraError:
    library = _DISTRIBUTIONS.get(module, module)
    extra = _EXTRAS.get(module, "gigapixel")
    return MissingExtraError(f"{what} needs {library}: pip install 'taesd-stream[{extra}]'")
