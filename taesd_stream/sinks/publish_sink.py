"""A streaming server or an HLS folder as a sink, which frames leave for at their own times."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

import numpy as np

from taesd_stream.errors import InputError
from taesd_stream.sinks.frames import Frame, frame_array
from taesd_stream.sinks.pacing import ConstantRate, Pacing
from tiling import Size
from video.background import Room, Worker, room_for
from video.options import VideoOptions
from video.publishing.addresses import Address
from video.publishing.departures import (
    BUFFER_SECONDS,
    REPEAT_SECONDS,
    Departures,
    PacedFrames,
)
from video.publishing.publisher import Publisher, check_build, specs_of
from video.safe_files.part_file import check_output

__all__ = ["PublishSink"]

_MOST_FRAMES: Final = 32
_MOST_BYTES: Final = 128 << 20


@dataclass(frozen=True, slots=True)
class _Timed:
    frame: Frame
    at: float
    came: float


class _End:
    """No frames follow; those that wait leave by their times."""


class _Hurry:
    """No frame waits any more."""


_Message: TypeAlias = _Timed | _End | _Hurry


class PublishSink:
    """Frames to a server, or to the segments of an HLS playlist, each at its time.

    A frame of time t leaves a buffer of 0.2 s and t after the first came (``video.publishing``), in
    a thread of its own. The server is connected to when the first frame has come.

    Args:
        address: Where to.
        pacing: Where frames lie in time.
        options: How the video is encoded.
        clock: Seconds, by which frames leave.

    Attributes:
        notes: Remarks for whoever asked for the output, a line each; known when it is closed.

    Raises:
        InputError: The options make no sense for it, or the playlist is there already.
    """

    def __init__(
        self,
        address: Address,
        pacing: Pacing,
        options: VideoOptions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_build(address)
        specs_of(16, 16, options)
        if address.path is not None:
            check_output(address.path, overwrite=options.overwrite)
        self._address, self._pacing, self._options = address, pacing, options
        self._clock = clock
        is_resampled = pacing.is_live and pacing.rate is not None
        self._rate = ConstantRate(pacing.usual_rate) if is_resampled else None
        self.notes: tuple[str, ...] = ()
        self._size: Size | None = None
        self._start: float | None = None
        self._count = 0
        self._sending: _Sending | None = None
        self._is_hurried = self._is_closed = False

    def write(self, frame: object) -> None:
        """Add a frame, as ``Sink.write`` takes it.

        Raises:
            InputError: It is no frame, or of another size than the first.
            OutputError: The server is not there, or not any more.
        """
        self.put(frame_array(frame), None)

    def put(self, frame: Frame, at: float | None) -> bool:
        """``write``, of a frame that came at a time in seconds; returns whether it is shown."""
        size = Size(frame.shape[0], frame.shape[1])
        if self._is_closed:
            raise InputError(f"{self._address.shown}: it is closed, and takes no more")
        if self._size is None or self._sending is None:
            self._size, self._sending = size, self._open(size)
            if self._is_hurried:  # meanwhile
                self._sending.hurry()
        if size != self._size:
            raise InputError(
                f"{self._address.shown}: expected frames of {self._size} pixels, as the first one"
                f" was, found {size}"
            )
        time_of_frame = self._time(at)
        if time_of_frame is None:
            return False
        self._sending.put(np.array(frame), time_of_frame)
        return True

    def hurry(self) -> None:
        """Let no frame wait for its time any more; any thread may call it."""
        self._is_hurried = True
        if self._sending is not None:
            self._sending.hurry()

    def close(self) -> None:
        """Send what waits, and say goodbye to the server; a second call does nothing."""
        self.leave(None)

    def leave(self, error: BaseException | None) -> None:
        """``close``; after an error, what waits is sent at once."""
        is_first, self._is_closed = not self._is_closed, True
        if self._sending is None or not is_first:
            return
        if error is not None:
            self._sending.hurry()
        try:
            self._sending.finish()
        finally:
            self.notes = self._sending.notes

    def _time(self, at: float | None) -> float | None:
        """The time that a frame has in the video, in seconds; None if it came too soon."""
        if at is None or not self._pacing.is_live:
            at = float(self._count / self._pacing.usual_rate)
            self._count += 1
        if self._rate is None:
            return at
        self._start = at if self._start is None else self._start
        if self._rate.repeats(at - self._start) is None:
            return None
        rate = self._pacing.usual_rate
        return float(round((at - self._start) * rate) / rate)

    def _open(self, size: Size) -> _Sending:
        publisher = Publisher(
            self._address, width=size.width, height=size.height, options=self._options
        )
        return _Sending(
            publisher, size, self._pacing, self._clock, is_remote=self._address.path is None
        )


class _Sending:
    """The thread that sends frames when they are due."""

    def __init__(
        self,
        publisher: Publisher,
        size: Size,
        pacing: Pacing,
        clock: Callable[[], float],
        *,
        is_remote: bool,
    ) -> None:
        self._publisher, self._is_remote = publisher, is_remote
        self._departures = Departures(is_live=pacing.is_live)
        is_resampled = pacing.is_live and pacing.rate is not None
        self._paced = PacedFrames(
            self._write,
            self._departures,
            clock,
            repeat_after=float(1 / pacing.usual_rate) if is_resampled else REPEAT_SECONDS,
        )
        self._clock = clock
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        self._room = Room(room_for(3 * size.area, most_items=_MOST_FRAMES, most_bytes=_MOST_BYTES))
        self._worker = Worker(self._run, then=self._room.close)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks, known when it has ended."""
        notes = list(self._publisher.notes)
        if self._departures.moved >= 0.1:
            notes.append(
                f"frames came too late for a buffer of {BUFFER_SECONDS:g} s: they were shown"
                f" {self._departures.moved:.1f} s later"
            )
        return tuple(notes)

    def put(self, frame: Frame, at: float) -> None:
        """Hand a frame over, as soon as there is room."""
        if not self._room.take():
            self._worker.wait()
            self._check()
        self._messages.put(_Timed(frame, at, self._clock()))

    def hurry(self) -> None:
        """Let no frame wait any more, nor for a server that is still being connected to."""
        self._messages.put(_Hurry())
        if self._is_remote and not self._publisher.frames_written:
            self._publisher.abandon()

    def finish(self) -> None:
        """Wait until all is sent."""
        self._messages.put(_End())
        self._worker.wait()
        self._check()

    def _check(self) -> None:
        """Raise what went wrong, once."""
        error, self._worker.error = self._worker.error, None
        if error is not None:
            raise error

    def _write(self, frame: Frame, stamp: float) -> None:
        self._publisher.write(frame, stamp)

    def _run(self) -> None:
        is_ended = False
        with self._publisher:
            while True:
                waiting = len(self._paced)
                wait = self._paced.advance()
                if len(self._paced) < waiting:
                    self._room.give()
                if is_ended and not len(self._paced):
                    return
                with suppress(Empty):
                    message = self._messages.get(wait != 0, wait)
                    if isinstance(message, _Timed):
                        self._paced.take(message.frame, message.at, message.came)
                    elif isinstance(message, _Hurry):
                        self._paced.is_hurried = True
                    else:
                        is_ended = True
