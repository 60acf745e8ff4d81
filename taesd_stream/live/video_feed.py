"""The frames as H.264, encoded once for all who watch by WebRTC."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from taesd_stream.errors import TaesdStreamError
from taesd_stream.live.packet_queue import PacketQueue
from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.sinks.failing import failure_of
from tiling import Size
from video.background import WriteBehind
from video.live_encoding import TICKS_PER_SECOND, EncodedPicture, LiveEncoder

__all__ = ["VideoFeed"]

_log = logging.getLogger("taesd_stream")

_KEY_SECONDS: Final = 2.0
"""Between key pictures; a viewer who lost one sees the picture again after so long at most."""
_MOST_WAITING: Final = 2


class VideoFeed:
    """Encodes frames in a thread, as long as somebody watches, and hands them to all who do.

    Args:
        loop: That of the viewers.
        on_sent: Told in the loop of each frame that is handed out, and its time in ticks.

    Attributes:
        failure: Why frames of the present size are not encoded; None if they are.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_sent: Callable[[ShownFrame, int], None],
    ) -> None:
        self._loop, self._on_sent = loop, on_sent
        self._queues: set[PacketQueue] = set()
        self._wants_key = False
        self._latest: ShownFrame | None = None
        self._encoding: WriteBehind[tuple[ShownFrame, float], None] | None = None
        self._refused: Size | None = None
        self.failure: str | None = None

    def follow(self) -> PacketQueue:
        """A queue that gets pictures from now on, the present one first."""
        queue = PacketQueue()
        self._queues.add(queue)
        self.refresh()
        return queue

    def leave(self, queue: PacketQueue) -> None:
        """Hand out no more to a queue."""
        self._queues.discard(queue)

    def refresh(self) -> None:
        """Hand out a key picture as soon as may be: somebody cannot see without."""
        self._wants_key = True
        if self._latest is not None:
            self._put(self._latest, time.monotonic())

    def put(self, frame: ShownFrame) -> None:
        """Take the next frame; in the loop."""
        self._latest = frame
        if self._queues:
            self._put(frame, frame.shown_at)

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        encoding, self._encoding = self._encoding, None
        if encoding is not None:
            encoding.finish()

    def _put(self, frame: ShownFrame, at: float) -> None:
        if frame.size == self._refused:
            return
        if self._encoding is None:
            self._encoding = WriteBehind(self._encode_all, most=_MOST_WAITING)
        self._encoding.put_newest((frame, at))

    def _encode_all(self, frames: Iterator[tuple[ShownFrame, float]]) -> None:
        with ExitStack() as opened:
            encoder: LiveEncoder | None = None
            last_pts, key_at = -1, float("-inf")
            for frame, at in frames:
                size = frame.size.width, frame.size.height
                try:
                    if encoder is None or encoder.size != size:
                        opened.close()
                        encoder, key_at = None, float("-inf")
                        encoder = opened.enter_context(LiveEncoder(*size))
                        self.failure = None
                    is_key = self._wants_key or at - key_at >= _KEY_SECONDS
                    if is_key:
                        self._wants_key, key_at = False, at
                    last_pts = max(last_pts + 1, round(at * TICKS_PER_SECOND))
                    pictures = encoder.encode(frame.pixels, last_pts, is_key=is_key)
                except TaesdStreamError as error:
                    self._refuse(frame.size, error)
                    continue
                for picture in pictures:
                    self._loop.call_soon_threadsafe(self._hand_out, frame, picture)

    def _refuse(self, size: Size, error: Exception) -> None:
        """Encode no more frames of a size, and say why."""
        if size != self._refused:
            self._refused, self.failure = size, failure_of(error)
            _log.warning("live: browsers show JPEG pictures, since %s", self.failure)

    def _hand_out(self, frame: ShownFrame, picture: EncodedPicture) -> None:
        for queue in self._queues:
            queue.put(picture)
        if any(queue.needs_key for queue in self._queues):
            self._wants_key = True
        self._on_sent(frame, picture.pts)
