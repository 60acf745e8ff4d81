"""Latents that come over HTTP and by WebSocket."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from taesd_stream.errors import InputError
from taesd_stream.live.bodies import read_latents
from taesd_stream.live.intake import BusyError, Intake
from taesd_stream.live.rate_limit import RateLimit

__all__ = ["Uploads"]

_PER_SECOND: Final = 240.0
_MOST_AT_ONCE: Final = 4
_MOST_SOCKETS: Final = 16


class Uploads:
    """Takes latents that are pushed, within bounds of size, number and rate.

    Args:
        intake: Decodes them.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._rate = RateLimit(_PER_SECOND)
        self._under_way = self._sockets = 0

    async def post(self, request: Request) -> Response:
        """Take the body of a request."""
        if not self._rate.allows():
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"latents: expected up to {_PER_SECOND:g} a second, found more",
                {"Retry-After": "1"},
            )
        if self._under_way >= _MOST_AT_ONCE:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"latents: expected up to {_MOST_AT_ONCE} uploads at once, found more",
                {"Retry-After": "1"},
            )
        self._under_way += 1
        try:
            answer = await self._push(await read_latents(request, self._intake.accepts))
        except BusyError as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
        except InputError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
        finally:
            self._under_way -= 1
        return JSONResponse(answer, HTTPStatus.ACCEPTED)

    async def socket(self, socket: WebSocket) -> None:
        """Take the messages of a socket, each the bytes of a file; each is answered."""
        if self._sockets >= _MOST_SOCKETS:
            await socket.close(1013)
            return
        self._sockets += 1
        try:
            await socket.accept()
            while True:
                data = await socket.receive_bytes()
                await socket.send_json(await self._answer(data))
        except (WebSocketDisconnect, KeyError):  # KeyError: a message of text
            pass
        finally:
            self._sockets -= 1

    async def _answer(self, data: bytes) -> dict[str, Any]:
        if not self._rate.allows():
            return {"error": f"latents: expected up to {_PER_SECOND:g} a second, found more"}
        try:
            return await self._push(data)
        except InputError as error:
            return {"error": str(error)}

    async def _push(self, data: bytes) -> dict[str, Any]:
        latents = await asyncio.to_thread(self._intake.accepts.read, data)
        pushed = await asyncio.to_thread(self._intake.push, latents)
        return {"pushed": pushed.pushed, "dropped": pushed.dropped}
