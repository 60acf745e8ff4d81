"""The time that is left of some work: what was planned, corrected by what is seen."""

from __future__ import annotations

__all__ = ["TimeLeft"]

# What was planned counts as much as what was seen when this share is done.
_PLAN_COUNTS = 0.05


class TimeLeft:
    """The time that is left of some work.

    Args:
        planned: How many seconds all of it takes by the plan; None if that is not known.

    >>> left = TimeLeft(planned=100.0)
    >>> left.after(2.0)
    98.0
    >>> left.saw(0.05, 10.0)  # which would be 200 in all
    >>> left.after(10.0)
    142.5
    """

    def __init__(self, planned: float | None) -> None:
        self._planned = planned
        self._share = self._seen_at = 0.0

    def saw(self, share: float, elapsed: float) -> None:
        """So large a part of the work was done after so many seconds."""
        self._share, self._seen_at = share, elapsed

    def after(self, elapsed: float) -> float | None:
        """The seconds that are left after so many; None as long as nothing tells."""
        counts = 0.0 if self._planned is None else _PLAN_COUNTS
        if not self._share + counts:
            return None
        # The seconds in all by what was seen, times the share that they count for, are these.
        weighed = self._seen_at + counts * (self._planned or 0.0)
        whole = weighed / (self._share + counts)
        return max(0.0, whole * (1 - self._share) - (elapsed - self._seen_at))
