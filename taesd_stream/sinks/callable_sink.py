"""A function of a frame as a sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taesd_stream.sinks.frames import frame_array

__all__ = ["CallableSink"]


class CallableSink:
    """Calls a function with every frame, as an array (H, W, 3) of bytes."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function

    def write(self, frame: object) -> None:
        """Call it with a frame, as ``Sink.write`` takes it."""
        self._function(frame_array(frame))

    def close(self) -> None:
        """Nothing is left to be done."""
