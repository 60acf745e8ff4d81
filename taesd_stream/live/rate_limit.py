"""How often something may happen."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["RateLimit"]


class RateLimit:
    """Allows so many a second on average, and a second's worth at once (a token bucket).

    Args:
        per_second: That many.
        clock: Seconds.

    >>> now = 0.0
    >>> limit = RateLimit(2, lambda: now)
    >>> limit.allows(), limit.allows(), limit.allows()
    (True, True, False)
    >>> now = 0.5
    >>> limit.allows(), limit.allows()
    (True, False)
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._clock = per_second, clock
        self._left, self._at = per_second, clock()

    def allows(self) -> bool:
        """Whether one more may be; it is counted if so."""
        now = self._clock()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
