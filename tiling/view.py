"""Views: the part of a picture that is made, and how it goes on at its borders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tiling.interval import Interval, Region, Size

__all__ = ["WHOLE", "View", "around"]


@dataclass(frozen=True, slots=True)
class View:
    """A part of a plane that is made, and where the plane goes around.

    Attributes:
        crop: The part that is made, in elements of the output; None is all of it.
        wraps_y: Whether above the first row lies the last.
        wraps_x: Whether left of the first column lies the last.
    """

    crop: Region | None = None
    wraps_y: bool = False
    wraps_x: bool = False

    @property
    def axes(self) -> str:
        """The axes along which the plane goes around: "", "x", "y" or "xy"."""
        return "x" * self.wraps_x + "y" * self.wraps_y

    def margin(self, cells: int) -> Size:
        """So many cells along the axes that go around, none along the others."""
        return Size(cells * self.wraps_y, cells * self.wraps_x)

    def made(self, plane: Size) -> Size:
        """Height and width of what is made of an output ``plane``."""
        return plane if self.crop is None else self.crop.shape


WHOLE = View()
"""All of a plane that ends at its borders."""


def around(want: Interval, size: int) -> Iterator[Interval]:
    """The pieces of an axis of ``size`` that goes around, in the order in which ``want`` has them.

    >>> list(around(Interval(-2, 5), size=4))
    [Interval(start=2, stop=4), Interval(start=0, stop=4), Interval(start=0, stop=1)]
    """
    start = want.start
    while start < want.stop:
        first = start % size
        stop = min(size, first + want.stop - start)
        yield Interval(first, stop)
        start += stop - first
