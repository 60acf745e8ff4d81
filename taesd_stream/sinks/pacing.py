"""When the frames of a running program are shown: at a rate, or at the times at which they came."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from taesd_stream.errors import InputError
from video.rates import parse_rate

__all__ = ["ConstantRate", "FrameTimes", "Pacing", "Rate"]

Rate: TypeAlias = str | int | float | Fraction
"""Frames per second, as ``video.parse_rate`` takes it."""

_LIVE: Final = "live"
_USUAL_RATE = Fraction(30)


@dataclass(frozen=True, slots=True)
class Pacing:
    """How frames are placed in time.

    Attributes:
        fps: Frames per second, one after the other whenever they came; or "live": each is shown at
            the time at which it came.
        constant_rate: Of "live": frames per second of the output, which repeats or leaves out what
            came; None keeps every frame at its own time.

    Raises:
        InputError: They make no sense, or not together.

    >>> Pacing("live").rate, Pacing(24).rate
    (None, Fraction(24, 1))
    """

    fps: Rate | Literal["live"] = 24
    constant_rate: Rate | None = None

    def __post_init__(self) -> None:
        if self.constant_rate is not None and not self.is_live:
            raise InputError(
                f"constant_rate: expected fps='live' with it, found fps={self.fps!r}; leave one of"
                " them out"
            )
        _ = self.rate

    @property
    def is_live(self) -> bool:
        """Whether frames have the times at which they came."""
        return self.fps == _LIVE

    @property
    def rate(self) -> Fraction | None:
        """Frames per second of the output; None where every frame has a time of its own."""
        fps = self.constant_rate if self.is_live else self.fps
        return None if fps is None else parse_rate(fps)

    @property
    def usual_rate(self) -> Fraction:
        """Frames per second that may be expected."""
        return self.rate or _USUAL_RATE


class ConstantRate:
    """Frames that come at any time, at a constant rate: those are repeated or left out.

    Args:
        rate: Frames per second of the output.

    >>> thirty = ConstantRate(Fraction(30))
    >>> [thirty.repeats(at) for at in (0, 0.034, 0.04, 0.2)]
    [0, 0, None, 4]
    """

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._next = 0

    def repeats(self, at: float) -> int | None:
        """How often the frame before this one is to be repeated, to fill the time until it.

        Args:
            at: Seconds since the first frame.

        Returns:
            That; None if the frame comes so soon that it is to be left out.
        """
        place = round(at * self._rate)
        if place < self._next:
            return None
        missing = place - self._next
        self._next = place + 1
        return missing


class FrameTimes:
    """The times of frames of which a latent may make several, or none.

    They are spread over the time since the latest frame before them.
    """

    def __init__(self) -> None:
        self._latest: float | None = None
        self._step = 1 / float(_USUAL_RATE)

    def spread(self, count: int, at: float) -> list[float]:
        """The times, in seconds, of so many frames of a latent that came at a time.

        >>> times = FrameTimes()
        >>> times.spread(1, 10.0), times.spread(4, 12.0), times.after(1)
        ([10.0], [10.5, 11.0, 11.5, 12.0], [12.5])
        """
        if self._latest is not None and count:
            self._step = max(0.0, at - self._latest) / count
        first = at - self._step * (count - 1)
        if count:
            self._latest = at
        return [first + self._step * number for number in range(count)]

    def after(self, count: int) -> list[float]:
        """The times of so many frames that come when nothing is pushed any more."""
        latest = self._latest or 0.0
        return [latest + self._step * number for number in range(1, count + 1)]
