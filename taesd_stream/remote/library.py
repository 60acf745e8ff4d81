"""fsspec and what it reads stores with, an extra: imported where an address is given."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from taesd_stream.errors import MissingExtraError
from taesd_stream.remote.addresses import scheme_of, shown

__all__ = ["load_fsspec"]

_LIBRARIES: Final = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "https": "aiohttp",
    "http": "aiohttp",
}


def load_fsspec(address: str) -> Any:
    """The module ``fsspec.core``, with what it needs for an address at hand.

    Raises:
        MissingExtraError: Something of it is not installed.
    """
    library = _LIBRARIES[scheme_of(address)]
    try:
        import_module(library)
        return import_module("fsspec.core")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{shown(address)}: addresses of {scheme_of(address)}:// need fsspec and {library},"
            " which are not all installed; pip install 'taesd-stream[remote]'"
        ) from error
