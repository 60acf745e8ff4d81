"""Frames handed to sinks on their way through a pipeline, which no sink can stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from torch import Tensor

from taesd_stream.sinks import Sink, Target, VideoSink
from taesd_stream.sinks.sink import is_sink

__all__ = ["FrameTap"]

_log = logging.getLogger("taesd_stream")


class FrameTap:
    """Hands frames to sinks; one that fails is told of once in the log, and gets no more.

    Args:
        targets: Sinks, which are called in the thread that decodes; and paths and functions, for
            which frames wait in a ``VideoSink`` that drops the oldest where there is no room.
        fps: Frames per second of videos at paths, or "live".

    Raises:
        InputError: One of them is no target.
    """

    def __init__(
        self, targets: Sequence[Target], fps: str | int | float | Fraction | Literal["live"]
    ) -> None:
        others = [each for each in targets if not is_sink(each)]
        self._sinks = [each for each in targets if is_sink(each)]
        if others:
            self._sinks.append(VideoSink(others, fps=fps, when_full="drop"))
        self._working = list(self._sinks)
        self._count = 0

    def write(self, frames: Tensor) -> None:
        """Hand over frames, (n, 3, H, W) in [0, 1], in the order of time."""
        for frame in frames:
            for sink in tuple(self._working):
                try:
                    sink.write(frame)
                except Exception as error:
                    self._working.remove(sink)
                    self._tell(sink, error)
            self._count += 1

    def close(self) -> None:
        """Close every sink, those that failed too."""
        self._working.clear()
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                self._tell(sink, error)

    def _tell(self, sink: Sink, error: Exception) -> None:
        _log.error(
            "sink %s failed after %d frames and gets no more: %s: %s",
            *(type(sink).__name__, self._count, type(error).__name__, error),
        )
