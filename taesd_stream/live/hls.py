"""The frames as HLS, for browsers without WebRTC and for players: made while somebody asks."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from taesd_stream.errors import OutputError
from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.sinks.feed import Feed
from taesd_stream.sinks.pacing import Pacing
from taesd_stream.sinks.queueing import Queueing
from taesd_stream.sinks.targets import FileOptions, open_targets
from tiling import Size

__all__ = ["PLAYLIST", "HlsFeed"]

PLAYLIST: Final = "live.m3u8"

_NAMES: Final = re.compile(r"[A-Za-z0-9_]+\.(m3u8|ts)")
_SECONDS_UNASKED: Final = 30.0
_SECONDS_TO_BEGIN: Final = 15.0
_LOOK_AGAIN: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Written:
    """What is written.

    Attributes:
        folder: Where.
        feed: The thread that does.
        size: Of its frames, in pixels.
    """

    folder: TemporaryDirectory[str]
    feed: Feed
    size: Size

    @property
    def failure(self) -> str | None:
        """Why it is not written; None if it is."""
        return self.feed.counts.failure

    def end(self) -> None:
        """Finish, and remove all of it."""
        self.feed.finish(None)
        self.folder.cleanup()


class HlsFeed:
    """Writes segments into a temporary folder, as long as the playlist is asked for.

    To be used in the event loop of the viewers.
    """

    def __init__(self) -> None:
        self._written: _Written | None = None
        self._asked_at = float("-inf")
        self._turn, self._is_closed = asyncio.Lock(), False
        self._endings: set[asyncio.Future[None]] = set()

    def put(self, frame: ShownFrame) -> None:
        """Take the next frame, if somebody asks."""
        written = self._written
        if written is None:
            return
        is_wanted = time.monotonic() - self._asked_at < _SECONDS_UNASKED
        if is_wanted and frame.size == written.size and written.failure is None:
            written.feed.put(frame.taken())
            return
        self._written = None
        ending = asyncio.ensure_future(asyncio.to_thread(written.end))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def path_of(self, name: str, newest: ShownFrame) -> Path | None:
        """The file of a name; the playlist begins with the frame that is the newest now.

        Returns:
            None if there is none of the name, or no playlist for lack of frames.

        Raises:
            OutputError: It cannot be written.
        """
        # Of other names none is made, those of other folders least of all, whatever the system's
        # separators are.
        if not _NAMES.fullmatch(name):
            return None
        if name == PLAYLIST and not self._is_closed:
            self._asked_at = time.monotonic()
            async with self._turn:
                if self._written is None:
                    self._written = await asyncio.to_thread(_begun, newest.size)
                    self.put(newest)
        written = self._written
        if written is None:
            return None
        path = Path(written.folder.name) / name
        deadline = time.monotonic() + _SECONDS_TO_BEGIN
        while name == PLAYLIST and not path.is_file() and time.monotonic() < deadline:
            if written.failure is not None:
                raise OutputError(f"hls: {written.failure}")
            await asyncio.sleep(_LOOK_AGAIN)
        return path if path.is_file() else None

    async def close(self) -> None:
        """End it, and remove what was written; a second call does nothing."""
        written, self._written, self._is_closed = self._written, None, True
        if written is not None:
            written.end()  # in this thread: at a program's end there may be no other
        await asyncio.gather(*self._endings)


def _begun(size: Size) -> _Written:
    folder = TemporaryDirectory(prefix="taesd-live-")
    ((name, target),) = open_targets([Path(folder.name) / PLAYLIST], Pacing("live"), FileOptions())
    return _Written(folder, Feed(name, target, Queueing("drop")), size)
