"""Figures of what was shown lately: frames per second, and how long they took to come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final

from taesd_stream.live.shown_frame import ShownFrame

__all__ = ["Figures"]

_SECONDS: Final = 2.0
_MOST_FRAMES: Final = 512


class Figures:
    """Figures of the frames that were shown in the last two seconds.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lately: deque[tuple[float, float]] = deque(maxlen=_MOST_FRAMES)

    def saw(self, frame: ShownFrame) -> None:
        """A frame was shown."""
        self._lately.append((frame.shown_at, frame.shown_at - frame.at))

    @property
    def frames_per_second(self) -> float:
        """Frames per second; 0 where none came."""
        shown = [at for at, _ in self._recent()]
        if len(shown) < 2 or shown[-1] == shown[0]:
            return 0.0
        # A stream that has stopped is slower and slower, until nothing of it is left.
        until = max(shown[-1], self._clock() - (shown[-1] - shown[0]) / (len(shown) - 1))
        return (len(shown) - 1) / (until - shown[0])

    @property
    def latency_seconds(self) -> float | None:
        """The median of the seconds from a latent's coming to its frame's; None where none came."""
        taken = [seconds for _, seconds in self._recent()]
        return median(taken) if taken else None

    def _recent(self) -> list[tuple[float, float]]:
        since = self._clock() - _SECONDS
        return [each for each in tuple(self._lately) if each[0] >= since]
