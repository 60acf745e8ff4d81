"""Regions of a plane: rows and columns, by slices."""

from __future__ import annotations

from operator import index

from video.errors import InputError

__all__ = ["checked_region"]


def checked_region(
    rows: slice, columns: slice, size: tuple[int, int], name: str
) -> tuple[slice, slice]:
    """The region as slices of Python ints, if it lies within a plane of ``size`` (h, w).

    Raises:
        InputError: it does not, is empty, or has a step.

    >>> checked_region(slice(0, 2, 1), slice(3, 8), (4, 8), "a picture")
    (slice(0, 2, None), slice(3, 8, None))
    """
    try:
        return _within(rows, size[0]), _within(columns, size[1])
    except (TypeError, ValueError):
        raise InputError(
            f"{name}: expected a region of rows within 0:{size[0]} and columns within "
            f"0:{size[1]}, found rows {_colons(rows)} and columns {_colons(columns)}: give a start "
            "below a stop, no step"
        ) from None


def _within(part: slice, size: int) -> slice:
    start, stop = index(part.start), index(part.stop)
    if part.step not in (None, 1) or not 0 <= start < stop <= size:
        raise ValueError
    return slice(start, stop)


def _colons(part: slice) -> str:
    return f"{part.start}:{part.stop}" + ("" if part.step is None else f":{part.step}")
