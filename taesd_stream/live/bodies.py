"""The bodies of requests, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from taesd_stream.errors import LatentsError
from taesd_stream.live.pushed_latents import PushedLatents

__all__ = ["HeldBytes", "read_json", "read_latents"]

_SECONDS: Final = 20.0
_MOST_JSON: Final = 1 << 16


class HeldBytes:
    """The bytes of bodies that are held at once, all together.

    Who sends slowly holds few, however many do.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def more(self) -> Iterator[Callable[[int], None]]:
        """A function that is told of each part of a body, until the body is let go.

        It raises HTTPException where there are too many.
        """
        own = 0

        def hold(size: int) -> None:
            nonlocal own
            if self._held + size > self._most:
                raise HTTPException(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"body: expected up to {self._most} bytes of all who send at once, found more",
                    {"Retry-After": "1"},
                )
            own += size
            self._held += size

        try:
            yield hold
        finally:
            self._held -= own


async def read_json(request: Request) -> dict[str, Any]:
    """A JSON object.

    Raises:
        HTTPException: It is none, too large, or too slow.
    """
    data = await _read(request, _MOST_JSON, lambda data: None, lambda size: None)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "body: expected a JSON object, found none")
    return value


async def read_latents(
    request: Request, accepts: PushedLatents, hold: Callable[[int], None]
) -> bytes:
    """The bytes of latents; what its header says is checked before the rest is read.

    Args:
        accepts: What they may be.
        hold: Told of the size of each part.

    Raises:
        HTTPException: They are too many, too slow, or of a length that is not said.
        LatentsError: The header is not one of latents that are accepted.
    """
    size = request.headers.get("content-length", "")
    if not size.isdecimal():
        raise HTTPException(
            HTTPStatus.LENGTH_REQUIRED, "latents: expected a Content-Length, found none"
        )
    has_head = False

    def check(data: bytearray) -> None:
        nonlocal has_head
        if has_head:
            return
        head = accepts.head_bytes(bytes(data[:8]))
        if head is not None and head <= len(data):
            accepts.check_head(bytes(data[:head]), int(size))
            has_head = True

    data = await _read(request, accepts.most_bytes, check, hold)
    if not has_head:
        raise LatentsError(
            f"latents: expected the bytes of a .safetensors file, found {len(data)}; make them with"
            " safetensors.torch.save({'latents': z})"
        )
    return data


async def _read(
    request: Request,
    most: int,
    check: Callable[[bytearray], None],
    hold: Callable[[int], None],
) -> bytes:
    """A body of up to ``most`` bytes; ``check`` is called with what is there, part by part."""
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > most:
        raise HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"body: expected up to {most} bytes, found {said:.20}",
        )
    data = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                hold(len(chunk))
                data += chunk
                if len(data) > most:
                    raise HTTPException(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"body: expected up to {most} bytes, found more",
                    )
                check(data)
    except TimeoutError:
        raise HTTPException(
            HTTPStatus.REQUEST_TIMEOUT, f"body: expected all of it within {_SECONDS:g} seconds"
        ) from None
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "body: the connection was cut") from None
    return bytes(data)
