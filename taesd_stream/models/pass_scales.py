"""Scales of passes, and the tiles that fit them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from taesd_stream.models.layers.passes import Pass

__all__ = ["cells_of", "times_as_wide"]


def cells_of(passes: Sequence[Pass], scale: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Elements per latent, along an axis, that every pass reads and makes.

    Args:
        passes: The passes of a network.
        scale: Its output elements (first) per input elements (second).
    """
    _, down = scale
    per_latent = Fraction(down)
    cells = []
    for each in passes:
        read = per_latent
        per_latent *= Fraction(*each.scale)
        cells.append((int(read), int(per_latent)))
    return tuple(cells)


def times_as_wide(passes: Sequence[Pass], cells: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """How many times as wide as the last pass's tiles those of every pass are.

    Passes do not wait for each other tile by tile, so each has tiles of its own, of about as many
    elements: those of few elements for each latent would be begun too often.

    Args:
        passes: The passes of a network.
        cells: Elements per latent that they read and make.
    """
    elements = [
        max(read**2 * each.opened_channels, cell**2 * each.out_channels)
        for each, (read, cell) in zip(passes, cells, strict=True)
    ]
    return tuple(max(1, math.isqrt(elements[-1] // one)) for one in elements)
