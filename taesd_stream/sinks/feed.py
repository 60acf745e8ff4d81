"""One target of a sink: its thread, the frames that wait for it, and what became of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from taesd_stream.jobs.delivery.waiting import frames_that_wait
from taesd_stream.sinks.counts import TargetCounts
from taesd_stream.sinks.failing import failure_of
from taesd_stream.sinks.frames import TakenFrame
from taesd_stream.sinks.queueing import Queueing
from taesd_stream.sinks.target import FrameTarget
from video.background import WriteBehind

__all__ = ["Feed"]

_log = logging.getLogger("taesd_stream")


class Feed:
    """Writes frames to one target in a thread of its own.

    What goes wrong there is told once, in the log and in ``counts``; frames that come after it are
    dropped.

    Args:
        name: What the target is called.
        target: It; from now on the thread's alone.
        queueing: How many frames may wait, and what happens when there is no room.
    """

    def __init__(self, name: str, target: FrameTarget, queueing: Queueing) -> None:
        self._name, self._target, self._queueing = name, target, queueing
        self._writing: WriteBehind[TakenFrame, None] | None = None
        self._written = self._made_room = self._lost = 0
        self._failure: str | None = None
        self._ended_by: BaseException | None = None

    @property
    def counts(self) -> TargetCounts:
        """What became of the frames so far."""
        return TargetCounts(self._name, self._written, self._made_room + self._lost, self._failure)

    def put(self, frame: TakenFrame) -> None:
        """Hand a frame over."""
        if self._writing is None:
            most = self._queueing.most or frames_that_wait(frame.size)
            self._writing = WriteBehind(self._write_all, most=most)
        self._made_room += self._queueing.put(self._writing, frame)

    def finish(self, error: BaseException | None) -> None:
        """Wait until all is written and the target is closed.

        Args:
            error: What ended the block that the sink was used in; None if it ended well.
        """
        self._ended_by = error
        if error is not None:
            self._target.hurry()
        if self._writing is None:
            self._end(error)
        else:
            self._writing.finish(on_interrupt=self._target.hurry)

    def _write_all(self, frames: Iterator[TakenFrame]) -> None:
        for frame in frames:
            if self._failure is not None or not self._write(frame):
                self._lost += 1
            del frame  # else it would be held while the next one is waited for
        if self._failure is None:
            self._end(self._ended_by)

    def _write(self, frame: TakenFrame) -> bool:
        """Write a frame; returns whether it was."""
        try:
            is_shown = self._target.put(frame.array(), frame.at)
        except BaseException as error:
            self._fail(error)
            self._end(error)
            return False
        self._written += is_shown
        return is_shown

    def _end(self, error: BaseException | None) -> None:
        """Close the target, and say what there is to say of it."""
        try:
            self._target.leave(error)
        except BaseException as failure:
            self._fail(failure)
        went_well = error is None and self._failure is None
        for note in self._target.notes:
            _log.log(logging.INFO if went_well else logging.WARNING, "sink: %s", note)

    def _fail(self, error: BaseException) -> None:
        """Tell of a failure, the first time."""
        if self._failure is not None:
            return
        self._failure = failure_of(error)
        _log.error(
            "sink %s failed after %d frames and gets no more: %s",
            *(self._name, self._written, self._failure),
        )
