"""Frames as pictures for viewers: one file for all that ask for the same frame."""

from __future__ import annotations

import asyncio
from pathlib import Path

from taesd_stream.live.shown_frame import ShownFrame
from video.images import encode_image

__all__ = ["Stills"]


class Stills:
    """Frames as JPEG or PNG, made once for each frame, outside of the event loop.

    Args:
        suffix: ".jpg" or ".png".
    """

    def __init__(self, suffix: str) -> None:
        self._name = Path(f"frame{suffix}")
        self._number = -1
        self._data = b""
        self._turn = asyncio.Lock()

    async def of(self, frame: ShownFrame) -> bytes:
        """The file of a frame."""
        async with self._turn:
            if frame.number != self._number:
                self._data = await asyncio.to_thread(self._encoded, frame)
                self._number = frame.number
            return self._data

    def _encoded(self, frame: ShownFrame) -> bytes:
        return encode_image(self._name, frame.pixels).tobytes()
