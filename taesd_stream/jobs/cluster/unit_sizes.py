"""How large units are: enough of them for all workers, and little that is made again for each."""

from __future__ import annotations

from tiling import Interval

__all__ = ["bands_of_unit", "steps_of_unit"]

_TURNS = 4
"""So many units for each worker, so that all of them are at work until the end."""

_MADE_AGAIN = 0.1
"""The share of a unit that may be made again for the sake of more turns."""

_PICTURE_BYTES = 64 << 20
"""Of a picture's unit, which a worker holds as a whole."""


def bands_of_unit(bands: int, workers: int, band_bytes: int) -> int:
    """The rows of tiles of a unit of one picture.

    Args:
        bands: How many there are.
        workers: How many make them.
        band_bytes: The pixels of each.

    >>> bands_of_unit(64, 2, 1 << 20), bands_of_unit(64, 2, 32 << 20)
    (8, 2)
    """
    return steps_of_unit(bands, workers, Interval(1, max(1, _PICTURE_BYTES // band_bytes)))


def steps_of_unit(total: int, workers: int, usual: Interval, again: int = 0) -> int:
    """The frames, or latents, of a unit.

    Args:
        total: How many there are.
        workers: How many make them.
        usual: No fewer, if there are as many; and no more, but where these would be few against
            those that are made again.
        again: How many before those of a unit are made again for it: what its model remembers.

    >>> usual = Interval(16, 48)
    >>> steps_of_unit(300, 2, usual), steps_of_unit(960, 2, usual, again=32)
    (38, 320)
    >>> steps_of_unit(81, 2, usual, again=32)
    41
    """
    of_worker = total / workers
    turns = min(_TURNS, max(1, int(_MADE_AGAIN * of_worker / again))) if again else _TURNS
    longest = max(usual.stop, round(again / _MADE_AGAIN))
    return max(usual.start, min(longest, -(-total // (workers * turns))))
