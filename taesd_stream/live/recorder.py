"""Records what is shown into a video."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from taesd_stream.errors import InputError, OutputError
from taesd_stream.jobs.output import Output
from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.sinks.feed import Feed
from taesd_stream.sinks.file_sink import FileSink
from taesd_stream.sinks.pacing import Pacing
from taesd_stream.sinks.queueing import Queueing
from tiling import Size

__all__ = ["Recorder", "Recording"]


@dataclass(slots=True)
class Recording:
    """A video that is being written.

    Attributes:
        name: Of its file.
        size: Of its frames, in pixels.
        begun_at: Seconds of ``time.monotonic``.
        feed: The thread that writes it.
    """

    name: str
    size: Size
    begun_at: float
    feed: Feed


class Recorder:
    """Records what is shown into videos in a folder; each frame at the time when it was shown.

    Args:
        folder: Where they go; it is made when the first of them is begun.

    Attributes:
        names: Of those that are finished.
        failure: Why the latest of them failed; None if it did not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: tuple[str, ...] = ()
        self.failure: str | None = None
        self._current: Recording | None = None
        self._turn, self._is_closed = asyncio.Lock(), False
        self._stopping: asyncio.Future[str | None] | None = None

    @property
    def current(self) -> Recording | None:
        """What is recorded now."""
        return self._current

    async def start(self, frame: ShownFrame) -> str:
        """Begin with a frame; returns the name of the file.

        Raises:
            InputError: It is recorded already, or the page is closed.
            OutputError: The folder cannot be written to.
        """
        async with self._turn:
            if self._is_closed:
                raise InputError("recording: expected a page that is open, found none")
            if self._current is not None:
                raise InputError(f"recording: expected none, found {self._current.name} under way")
            self._current = await asyncio.to_thread(self._begin, frame)
            self.failure = None
            self.put(frame)
            return self._current.name

    async def stop(self) -> str | None:
        """Finish the file; returns its name, or None if nothing was recorded."""
        async with self._turn:
            recording, self._current = self._current, None
            if recording is None:
                return None
            await asyncio.to_thread(recording.feed.finish, None)
            self._ended(recording)
            return recording.name

    def close(self) -> None:
        """Finish what is recorded, in this thread: at a program's end there may be no other."""
        recording, self._current, self._is_closed = self._current, None, True
        if recording is not None:
            recording.feed.finish(None)
            self._ended(recording)

    def put(self, frame: ShownFrame) -> None:
        """Record a frame, if that is going on; one of another size ends it."""
        recording = self._current
        if recording is None:
            return
        if frame.size == recording.size:
            recording.feed.put(frame.taken())
        elif self._stopping is None or self._stopping.done():
            self._stopping = asyncio.ensure_future(self.stop())

    def path_of(self, name: str) -> Path | None:
        """The file of a recording that is finished; None if there is none of that name."""
        return self.folder / name if name in self.names else None

    def _ended(self, recording: Recording) -> None:
        self.failure = recording.feed.counts.failure
        if self.failure is None:
            self.names = (*self.names, recording.name)

    def _begin(self, frame: ShownFrame) -> Recording:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"recordings: expected a folder to write to, found {str(self.folder)!r}"
                f" ({error.strerror})"
            ) from error
        name = _free_name(self.folder)
        sink = FileSink(Output(self.folder / name), Pacing("live"))
        feed = Feed(name, sink, Queueing("drop"))
        return Recording(name, frame.size, time.monotonic(), feed)


def _free_name(folder: Path) -> str:
    """A name by the time of day that no file has yet."""
    stem = time.strftime("live-%Y%m%d-%H%M%S")
    number, name = 1, f"{stem}.mp4"
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}.mp4"
    return name
