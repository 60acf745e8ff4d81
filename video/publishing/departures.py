"""When frames leave for a server: by their own times, a little later than they came."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUFFER_SECONDS", "REPEAT_SECONDS", "Departures", "PacedFrames", "Placed"]

T = TypeVar("T")

BUFFER_SECONDS: Final = 0.2
"""How long after its time a frame leaves, so that one that was made slowly is in time."""

_FOLLOWED_SECONDS: Final = 2.0
_WORTH_REPEATING: Final = 1.5  # times the while: before a frame that is due soon there is no need
REPEAT_SECONDS: Final = 1.0
"""Servers and players take longer silence for an end."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A frame's place in time, in seconds from the first frame.

    Attributes:
        since: Until it leaves.
        stamp: Until it is shown.
    """

    since: float
    stamp: float


class Departures:
    """Places frames on the clock on the wall.

    A frame of time t leaves at start + buffer + t. One that comes later than that leaves at once,
    and the start moves by as much, so that those after it keep their distance from it.

    Args:
        buffer: In seconds.
        is_live: Times are those at which frames were asked for. They stay what they are in the
            video, and where all frames of a while came earlier than they had to, the start moves
            back: a slow first frame does not delay all others. Else times only tell the distance
            of frames, and one that is late is shown later.

    Attributes:
        moved: By how many seconds the start was moved by frames that were late, all together.

    >>> departures = Departures(0.2, is_live=False)
    >>> [departures.due(departures.place(at, 50 + at / 2)) for at in (0.0, 1.0)]
    [50.2, 51.2]
    """

    def __init__(self, buffer: float = BUFFER_SECONDS, *, is_live: bool) -> None:
        self._buffer, self._is_live = buffer, is_live
        self._first: float | None = None
        self._start = self.moved = 0.0
        self._spared = self._since = 0.0

    def place(self, at: float, now: float) -> Placed:
        """Place a frame.

        Args:
            at: Its time, in seconds from anywhere.
            now: The time on the wall, at which it came.
        """
        if self._first is None:
            self._first = at
            self._start = now + self._buffer
            self._follow_anew(now)
        since = at - self._first
        late = now - (self._start + since)
        if late > 0:
            self._start += late
            self.moved += late
        self._spared = min(self._spared, max(0.0, -late))
        if self._is_live and now - self._since >= _FOLLOWED_SECONDS:
            self._start -= max(0.0, self._spared - self._buffer)
            self._follow_anew(now)
        return Placed(since, since if self._is_live else since + self.moved)

    def due(self, placed: Placed) -> float:
        """When a frame leaves, as it looks now."""
        return self._start + placed.since

    def _follow_anew(self, now: float) -> None:
        """Begin another while in which the least time is found that frames have to spare."""
        self._since, self._spared = now, inf


@dataclass(frozen=True, slots=True)
class _Left(Generic[T]):
    """The frame that left last, when it was due, and when it is shown."""

    frame: T
    due: float
    stamp: float


class PacedFrames(Generic[T]):
    """Frames that wait for their time; whoever owns this waits, and nothing in here does.

    The last frame is repeated where none leaves for a while.

    Args:
        write: Is given each frame with its stamp, when it is due.
        departures: When that is.
        clock: Seconds.
        repeat_after: The seconds after which the last frame is written again.

    Attributes:
        is_hurried: Frames do not wait any more.
    """

    def __init__(
        self,
        write: Callable[[T, float], None],
        departures: Departures,
        clock: Callable[[], float],
        repeat_after: float = REPEAT_SECONDS,
    ) -> None:
        self._write, self._departures, self._clock = write, departures, clock
        self._repeat_after = repeat_after
        self._waiting: deque[tuple[Placed, T]] = deque()
        self._last: _Left[T] | None = None
        self.is_hurried = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self, frame: T, at: float, came: float) -> None:
        """Take a frame of a time, which came at another by the clock."""
        self._waiting.append((self._departures.place(at, came), frame))

    def advance(self) -> float | None:
        """Write the next frame if it is due.

        Returns:
            The seconds until there is something to be done, 0 if that is now; None if there is
            nothing until another frame comes.
        """
        wait = self._until_next()
        if wait != 0:
            return wait
        if self._is_repeat_next and (last := self._last) is not None:
            passed = self._clock() - last.due
            after = self._repeat_after * max(1.0, passed // self._repeat_after)
            self._last = _Left(last.frame, last.due + after, last.stamp + after)
        else:
            placed, frame = self._waiting.popleft()
            self._last = _Left(frame, self._departures.due(placed), placed.stamp)
        self._write(self._last.frame, self._last.stamp)
        return self._until_next()

    @property
    def _next_due(self) -> float:
        return self._departures.due(self._waiting[0][0]) if self._waiting else inf

    @property
    def _is_repeat_next(self) -> bool:
        if self._last is None or self.is_hurried:
            return False
        return self._next_due - self._last.due > _WORTH_REPEATING * self._repeat_after

    def _until_next(self) -> float | None:
        if self._is_repeat_next and self._last is not None:
            due = self._last.due + self._repeat_after
        elif self._waiting:
            due = self._next_due
        else:
            return None
        return 0.0 if self.is_hurried else max(0.0, due - self._clock())
