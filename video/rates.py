"""Frame rates as exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from video.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEFAULT_RATE", "MAX_RATE", "parse_rate", "rate_of_durations"]

_RATE_OF_NO_TIME = Fraction(10)
"""What browsers show animations at whose frames take no time."""

DEFAULT_RATE = 24
"""Frames per second, where nothing says how many."""

MAX_RATE = 1000
"""Frames per second; past this, a container that counts milliseconds cannot tell frames apart."""

_MAX_DENOMINATOR = 65535
_NTSC_RATES = tuple(Fraction(nominal * 1000, 1001) for nominal in (24, 30, 48, 60, 120))
_USUAL_RATES = (12, 15, 24, 30, 48, 60)
"""Of animations, whose times a clock of hundredths or thousandths cannot tell exactly."""

_EXPECTED = "expected a frame rate above 0 and at most 1000, such as 24, 23.976 or 24000/1001"


def parse_rate(value: str | int | float | Fraction) -> Fraction:
    """Read a frame rate in frames per second.

    Decimals are taken at their word, except the customary spellings of NTSC rates (23.976 or
    23.98, 29.97, 47.952, 59.94, 119.88), which mean n * 1000 / 1001.

    Raises:
        InputError: for what is no number, not finite, not above 0, or above 1000.

    Example:
        >>> parse_rate("23.976"), parse_rate(12.5), parse_rate("25")
        (Fraction(24000, 1001), Fraction(25, 2), Fraction(25, 1))
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Fraction):
        raise InputError(f"{_EXPECTED}; found {value!r}")
    try:
        rate = _snap(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"{_EXPECTED}; found {value!r}") from None
    if not 0 < rate <= MAX_RATE:
        raise InputError(f"{_EXPECTED}; found {value!r}")
    return rate


def rate_of_durations(durations: Sequence[int], tick: Fraction) -> Fraction:
    """The rate of an animation, frames per second, whose frames last so many ticks of a clock.

    That is their mean, or the usual or whole rate near it whose times, rounded to ticks, they are.

    >>> rate_of_durations([3, 3, 4, 3, 3], Fraction(1, 100))
    Fraction(30, 1)
    >>> rate_of_durations([3, 3, 3], Fraction(1, 100))
    Fraction(100, 3)
    """
    count, total = len(durations), sum(durations)
    if total <= 0:
        return _RATE_OF_NO_TIME
    mean = count / (total * tick)
    if max(durations) - min(durations) != 1:
        return mean
    usual = sorted(_USUAL_RATES, key=lambda rate: abs(rate - mean))
    near = (Fraction(rate) for rate in (*usual, max(1, round(mean))))
    return next((rate for rate in near if abs(count / (rate * tick) - total) <= 1), mean)


def _snap(value: str | int | float | Fraction) -> Fraction:
    if isinstance(value, int | Fraction):
        return Fraction(value).limit_denominator(_MAX_DENOMINATOR)
    text = str(value).strip()
    if len(text) > 40:
        raise ValueError("too long for a rate")
    if "/" in text:
        numerator, denominator = (int(part) for part in text.split("/"))
        return Fraction(numerator, denominator).limit_denominator(_MAX_DENOMINATOR)
    if not math.isfinite(float(text)) or float(text) > 10 * MAX_RATE:
        raise ValueError("not a rate")
    exact = Fraction(text)
    decimals = len(text.partition(".")[2])
    if decimals >= 2:
        tolerance = max(Fraction(1, 2 * 10**decimals), Fraction(1, 10**9))
        for ntsc in _NTSC_RATES:
            if abs(exact - ntsc) <= tolerance:
                return ntsc
    return exact.limit_denominator(_MAX_DENOMINATOR)
