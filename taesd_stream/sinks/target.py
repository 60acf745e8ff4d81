"""What a sink's thread gives frames to."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

from taesd_stream.sinks.frames import Frame
from taesd_stream.sinks.sink import Sink

__all__ = ["FrameTarget", "PlainTarget", "TimedSink", "TimedTarget"]


class FrameTarget(Protocol):
    """Takes frames with their times."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for whoever asked for the output, a line each; known when it is left."""

    def put(self, frame: Frame, at: float | None) -> bool:
        """Take a frame, which is not to be kept nor changed.

        Args:
            at: When it came, in seconds of any clock; None where that is of no interest.

        Returns:
            Whether it is shown: one that came too soon after another may be left out.
        """

    def hurry(self) -> None:
        """Let no frame wait for its time any more; called by any thread, where an error ends it."""

    def leave(self, error: BaseException | None) -> None:
        """Finish, after an error or None; a second call does nothing."""


@runtime_checkable
class TimedSink(Sink, Protocol):
    """A sink that is told when frames came; they are not its own to keep nor to change."""

    def write_at(self, frame: Any, at: float) -> None:
        """Take a frame, as ``write`` does, that came at a time in seconds of ``time.monotonic``."""


class TimedTarget:
    """A sink with times, which wants to know where one has none."""

    notes: tuple[str, ...] = ()

    def __init__(self, sink: TimedSink) -> None:
        self._sink = sink

    def put(self, frame: Frame, at: float | None) -> bool:
        """Write a frame."""
        if at is None:
            self._sink.write(frame)
        else:
            self._sink.write_at(frame, at)
        return True

    def hurry(self) -> None:
        """Do nothing: no frame waits."""

    def leave(self, error: BaseException | None) -> None:
        """Close the sink."""
        self._sink.close()


class PlainTarget:
    """A sink without times; its frames are its own to keep and to change.

    >>> class Last:
    ...     def write(self, frame): self.frame = frame
    ...     def close(self): pass
    >>> last = Last()
    >>> frame = np.zeros((2, 2, 3), np.uint8)
    >>> PlainTarget(last).put(frame, None), last.frame is frame
    (True, False)
    """

    notes: tuple[str, ...] = ()

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def put(self, frame: Frame, at: float | None) -> bool:
        """Write a copy of a frame."""
        self._sink.write(np.array(frame))
        return True

    def hurry(self) -> None:
        """Do nothing: no frame waits."""

    def leave(self, error: BaseException | None) -> None:
        """Close the sink."""
        self._sink.close()
