"""Windows that sum to one, for crops that are cross-faded where they overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tiling.grid import Cover
from tiling.interval import Interval

__all__ = ["crops", "windows"]


def crops(size: int, core: int, overlap: int) -> tuple[Interval, ...]:
    """Overlapping pieces of an axis: cores of at most ``core`` cells, ``overlap`` more each side.

    >>> [(crop.start, crop.stop) for crop in crops(8, core=4, overlap=1)]
    [(0, 5), (3, 8)]
    """
    return tuple(piece.grow(overlap).clip(0, size) for piece in Cover(size, core))


def windows(crops: Sequence[Interval], size: int, ramp: int) -> tuple[npt.NDArray[np.float32], ...]:
    """One weight per element of every crop; at each element of the axis they sum to one.

    A crop's weight rises linearly over ``ramp`` elements from either end, unless that end is an end
    of the axis. The product of two such axes is a partition of unity of the plane, corners
    included.

    Args:
        crops: What each piece covers, in order; together they cover the axis.
        size: Length of the axis.
        ramp: Elements over which neighbours are cross-faded.

    >>> left, right = windows([Interval(0, 6), Interval(2, 8)], size=8, ramp=4)
    >>> left.tolist()
    [1.0, 1.0, 0.875, 0.625, 0.375, 0.125]
    """
    if not crops or crops[0].start > 0 or crops[-1].stop < size:
        raise ValueError(f"crops must cover the axis from 0 to {size}; got {list(crops)}")
    raw = [_trapezoid(crop, size, ramp) for crop in crops]
    total = np.zeros(size)
    for crop, weight in zip(crops, raw, strict=True):
        total[crop.start : crop.stop] += weight
    if not total.all():
        gap = int(np.flatnonzero(total == 0)[0])
        raise ValueError(f"crops must leave no gap; element {gap} of {size} is in none")
    return tuple(
        (weight / total[crop.start : crop.stop]).astype(np.float32)
        for crop, weight in zip(crops, raw, strict=True)
    )


def _trapezoid(crop: Interval, size: int, ramp: int) -> npt.NDArray[np.float64]:
    inside = np.arange(crop.size) + 0.5
    weight = np.ones(crop.size)
    if crop.start > 0 and ramp:
        weight = np.minimum(weight, inside / ramp)
    if crop.stop < size and ramp:
        weight = np.minimum(weight, inside[::-1] / ramp)
    return weight
