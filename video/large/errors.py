"""What only this package raises."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from video.errors import VideoInputError

__all__ = ["MissingLibraryError", "load_library", "require_library"]

_DISTRIBUTIONS = {"png": "pypng"}
_EXTRA = "taesd-stream[gigapixel]"


class MissingLibraryError(VideoInputError):
    """A format was asked for whose library is not installed.

    ``library`` is its name on PyPI.

    Example:
        >>> print(MissingLibraryError("tifffile", ".tif"))
        .tif needs tifffile: pip install 'taesd-stream[gigapixel]'
    """

    def __init__(self, library: str, what: str) -> None:
        self.library = library
        super().__init__(f"{what} needs {library}: pip install '{_EXTRA}'")


def require_library(module: str, what: str) -> None:
    """Raise MissingLibraryError if ``module`` is not installed; nothing is imported."""
    if find_spec(module) is None:
        raise MissingLibraryError(_DISTRIBUTIONS.get(module, module), what)


def load_library(module: str, what: str) -> Any:
    """Import ``module``, or raise MissingLibraryError."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingLibraryError(_DISTRIBUTIONS.get(module, module), what) from error
