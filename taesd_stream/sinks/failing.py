"""Words for what went wrong in a sink's thread."""

from __future__ import annotations

from taesd_stream.errors import TaesdStreamError
from video.errors import first_line

__all__ = ["failure_of"]


def failure_of(error: BaseException) -> str:
    """Say what went wrong, in one line.

    >>> failure_of(KeyError("no such thing"))
    "KeyError: 'no such thing'"
    """
    if isinstance(error, TaesdStreamError):
        return str(error)
    return f"{type(error).__name__}: {first_line(error)}"
