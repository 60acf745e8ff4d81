"""Latents that come over HTTP and by WebSocket."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import torch
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from taesd_stream.engine.budget import release
from taesd_stream.errors import InputError, TaesdStreamError
from taesd_stream.live.bodies import HeldBytes, read_latents
from taesd_stream.live.intake import BusyError, Intake
from taesd_stream.live.pushers import Pusher, Pushers
from taesd_stream.live.rate_limit import RateLimit

__all__ = ["Uploads"]

_PER_SECOND: Final = 240.0
_MOST_HELD_BYTES: Final = 64 << 20
_MOST_SOCKETS: Final = 16

_IDLE_SECONDS: Final = 60.0
"""A socket by which nothing came for so long makes room for others."""

_LARGE_BYTES: Final = 1 << 20
_SECONDS_TO_HAND_BACK: Final = 0.5
"""After a large upload, what was allocated for it goes back to the system."""

_SECONDS_AFTER_ERROR: Final = 0.1
"""Who sends what is wrong waits for so long, and takes so much less from others."""


class Uploads:
    """Takes latents that are pushed, within bounds of size, number and rate.

    The answers say how many of them were taken: see ``Intake.push``.

    Args:
        intake: Decodes them.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._rate = RateLimit(_PER_SECOND)
        self._handing_back: asyncio.TimerHandle | None = None
        self._held = HeldBytes(_MOST_HELD_BYTES)
        self._pushers = Pushers(_MOST_SOCKETS)

    async def post(self, request: Request) -> Response:
        """Take the body of a request."""
        if not self._rate.allows():
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"latents: expected up to {_PER_SECOND:g} a second, found more",
                {"Retry-After": "1"},
            )
        try:
            with self._held.more() as held:
                data = await read_latents(request, self._intake.accepts, held)
                answer = await self._push(data, waits=_waits(request))
        except BusyError as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
        except InputError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
        return JSONResponse(answer, HTTPStatus.ACCEPTED)

    async def socket(self, socket: WebSocket) -> None:
        """Take the messages of a socket, each the bytes of a file; each is answered."""
        pusher = self._pushers.enter()
        if pusher is None:
            await socket.send_denial_response(
                PlainTextResponse(
                    f"latents: expected up to {_MOST_SOCKETS} that push at once, found more\n",
                    HTTPStatus.SERVICE_UNAVAILABLE,
                )
            )
            return
        try:
            await socket.accept()
            code, reason = await self._listen(socket, pusher)
            await socket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):  # RuntimeError: it was closed meanwhile
            pass
        finally:
            self._pushers.leave(pusher)

    async def _listen(self, socket: WebSocket, pusher: Pusher) -> tuple[int, str]:
        """Take messages; returns why there are to be no more."""
        rate, begins = RateLimit(_PER_SECOND), True
        while not pusher.is_unwanted:
            try:
                async with asyncio.timeout(_IDLE_SECONDS) as patience:
                    with pusher.waiting(patience):
                        data = await socket.receive_bytes()
            except TimeoutError:
                break
            except KeyError:
                return 1003, "expected bytes, found text"
            answer = await self._answer(data, rate, waits=_waits(socket), begins=begins)
            begins = begins and "error" in answer
            del data
            await socket.send_json(answer)
            if "error" in answer:
                await asyncio.sleep(_SECONDS_AFTER_ERROR)
            else:
                self._pushers.took(pusher)
        return 1001, "nothing came, and it made room for others"

    async def _answer(
        self, data: bytes, rate: RateLimit, *, waits: bool, begins: bool
    ) -> dict[str, Any]:
        if not rate.allows():
            return {"error": f"latents: expected up to {_PER_SECOND:g} a second, found more"}
        try:
            return await self._push(data, waits=waits, begins=begins)
        except TaesdStreamError as error:
            return {"error": str(error)}

    async def _push(self, data: bytes, *, waits: bool, begins: bool = False) -> dict[str, Any]:
        if len(data) >= _LARGE_BYTES and self._handing_back is None:
            self._handing_back = asyncio.get_running_loop().call_later(
                _SECONDS_TO_HAND_BACK, self._hand_back
            )
        latents = await self._intake.read(data)
        taken = await self._intake.push(latents, waits=waits, begins=begins)
        return {"taken": taken, "dropped": len(latents) - taken}

    def _hand_back(self) -> None:
        """Have the allocator keep no more of the host's memory than is in use."""
        self._handing_back = None
        asyncio.get_running_loop().run_in_executor(None, release, torch.device("cpu"))


def _waits(asked: HTTPConnection) -> bool:
    """Whether latents that come alone are to wait, as clips do."""
    return asked.query_params.get("when_full") == "wait"
