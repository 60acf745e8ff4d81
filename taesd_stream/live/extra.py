"""The extra that the page needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from taesd_stream.errors import MissingExtraError

__all__ = ["check_extra"]

_LIBRARIES: Final = ("aiortc", "starlette", "uvicorn", "websockets")


def check_extra(*libraries: str) -> None:
    """Refuse to go on without the extra's libraries, or some of them.

    Raises:
        MissingExtraError: One is not installed.
    """
    for library in libraries or _LIBRARIES:
        if find_spec(library) is None:
            raise MissingExtraError(
                f"live: {library} is not installed; pip install 'taesd-stream[live]'"
            )
