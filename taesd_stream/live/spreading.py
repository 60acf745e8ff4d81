"""The times at which frames that come together are shown."""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST_WAIT", "Spreading"]

LONGEST_WAIT: Final = 0.25
"""Seconds; the most that a frame waits for its turn."""


class Spreading:
    """Spreads frames that come together over the time until the next are expected.

    Video models make several frames of one latent. These are shown as far apart as the latents
    are, in place of all at once; the first of them at once, so that nothing waits where a latent
    is one frame. All times are in seconds of one clock.

    >>> spreading = Spreading()
    >>> arrivals = [(0.0, 0.1), (0.0, 0.1), (0.2, 0.3), (0.2, 0.3), (0.4, 0.5), (0.4, 0.5)]
    >>> [round(spreading.shown_at(at, now), 3) for at, now in arrivals]
    [0.1, 0.1, 0.3, 0.4, 0.5, 0.6]
    """

    def __init__(self) -> None:
        self._at = self._group_at = self._came = self._shown = float("-inf")
        self._count = self._usual_count = 0
        self._step = 0.0

    def shown_at(self, at: float, now: float) -> float:
        """When to show a frame.

        Args:
            at: Its time: that of its latent, or its own.
            now: When it is there.
        """
        gap, turn = at - self._at, now
        if gap == 0:
            self._count += 1
            if self._count <= self._usual_count:
                turn = self._shown + self._step
        elif now - self._came < gap / 4:  # with the one before, and each has a time of its own
            turn = self._shown + gap
        else:
            self._begin_group(at)
        self._at, self._came = at, now
        self._shown = min(max(now, turn), now + LONGEST_WAIT)
        return self._shown

    def _begin_group(self, at: float) -> None:
        """The first frame of a latent: those after it are as far apart as those before were."""
        since, self._usual_count = at - self._group_at, self._count
        self._step = since / self._count if self._count and since < 1 else 0.0
        self._group_at, self._count = at, 1
