"""Medians, and ratios that a slow minute of the machine does not spoil."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

__all__ = ["median_ratio", "median_seconds"]


def median_seconds(seconds: Sequence[float]) -> float | None:
    """The median, None of nothing.

    >>> median_seconds([3.0, 1.0, 2.0])
    2.0
    """
    return median(seconds) if seconds else None


def median_ratio(reference: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Speed as a multiple of the reference's: the median of each round's ratio of times.

    The two lists are the rounds of one run, in order. A round that was slow for both counts as any
    other. None where either has no times.

    Raises:
        ValueError: They are not of the same rounds.

    >>> median_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 4.0])
    2.0
    """
    if not reference or not seconds:
        return None
    return median(theirs / ours for theirs, ours in zip(reference, seconds, strict=True))
