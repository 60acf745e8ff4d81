"""Weights that sum to one, for patches that are cross-faded where they overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tiling.grid import Cover
from tiling.interval import Interval

__all__ = ["patches", "weights"]


def patches(size: int, core: int, overlap: int) -> tuple[Interval, ...]:
    """Overlapping pieces of an axis: cores of at most ``core`` cells, ``overlap`` more each side.

    >>> [(patch.start, patch.stop) for patch in patches(8, core=4, overlap=1)]
    [(0, 5), (3, 8)]
    """
    return tuple(piece.grow(overlap).clip(0, size) for piece in Cover(size, core))


def weights(
    patches: Sequence[Interval], size: int, ramp: int
) -> tuple[npt.NDArray[np.float32], ...]:
    """One weight per element of every patch; at each element of the axis they sum to one.

    A patch's weight rises linearly over ``ramp`` elements from either end, unless that end is an
    end of the axis. The product of two such axes is a partition of unity of the plane, corners
    included.

    Args:
        patches: What each piece covers, in order; together they cover the axis.
        size: Length of the axis.
        ramp: Elements over which neighbours are cross-faded.

    >>> left, right = weights([Interval(0, 6), Interval(2, 8)], size=8, ramp=4)
    >>> left.tolist()
    [1.0, 1.0, 0.875, 0.625, 0.375, 0.125]
    """
    if not patches or patches[0].start > 0 or patches[-1].stop < size:
        raise ValueError(f"patches must cover the axis from 0 to {size}; got {list(patches)}")
    raw = [_trapezoid(patch, size, ramp) for patch in patches]
    total = np.zeros(size)
    for patch, weight in zip(patches, raw, strict=True):
        total[patch.start : patch.stop] += weight
    if not total.all():
        gap = int(np.flatnonzero(total == 0)[0])
        raise ValueError(f"patches must leave no gap; element {gap} of {size} is in none")
    return tuple(
        (weight / total[patch.start : patch.stop]).astype(np.float32)
        for patch, weight in zip(patches, raw, strict=True)
    )


def _trapezoid(patch: Interval, size: int, ramp: int) -> npt.NDArray[np.float64]:
    inside = np.arange(patch.size) + 0.5
    weight = np.ones(patch.size)
    for ends_inside, along in ((patch.start > 0, inside), (patch.stop < size, inside[::-1])):
        if ends_inside and ramp:
            weight = np.minimum(weight, along / ramp)
    return weight
