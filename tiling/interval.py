"""Half-open integer intervals, and the rectangles that two of them make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

__all__ = ["Interval", "Region", "Size", "chunks"]


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The integers ``start <= i < stop``; it may be empty and may reach below zero.

    >>> Interval(2, 5).grow(3).clip(0, 6)
    Interval(start=0, stop=6)
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.stop < self.start:
            raise ValueError(f"an interval must not end before it starts; got {self}")

    @property
    def size(self) -> int:
        """The number of integers in it."""
        return self.stop - self.start

    def shift(self, by: int) -> Interval:
        """The same interval seen from an origin moved by ``-by``."""
        return Interval(self.start + by, self.stop + by)

    def grow(self, by: int) -> Interval:
        """``by`` more on both sides."""
        return Interval(self.start - by, self.stop + by)

    def scale(self, factor: int) -> Interval:
        """Every integer becomes ``factor`` of them.

        >>> Interval(1, 3).scale(8)
        Interval(start=8, stop=24)
        """
        return Interval(self.start * factor, self.stop * factor)

    def divide(self, factor: int) -> Interval:
        """The smallest interval whose ``scale(factor)`` covers this one.

        >>> Interval(7, 17).divide(8)
        Interval(start=0, stop=3)
        """
        return Interval(self.start // factor, -(-self.stop // factor))

    def clip(self, low: int, high: int) -> Interval:
        """The part inside ``low <= i < high``; empty, at the nearer end, if there is none."""
        start = min(max(self.start, low), high)
        return Interval(start, max(start, min(self.stop, high)))

    def overlap(self, other: Interval) -> Interval:
        """The integers in both; empty if there are none.

        >>> Interval(0, 5).overlap(Interval(3, 9))
        Interval(start=3, stop=5)
        """
        return self.clip(other.start, other.stop)

    def contains(self, other: Interval) -> bool:
        """Whether every integer of ``other`` is in this one."""
        return other.size == 0 or (self.start <= other.start and other.stop <= self.stop)

    def within(self, outer: Interval) -> slice:
        """The slice that cuts this interval out of an array that holds ``outer``.

        >>> Interval(5, 7).within(Interval(4, 9))
        slice(1, 3, None)
        """
        if not outer.contains(self):
            raise ValueError(f"{self} does not lie within {outer}")
        return slice(self.start - outer.start, self.stop - outer.start)

    def halve(self) -> tuple[Interval, Interval]:
        """Two intervals that follow each other, the first as long or one longer."""
        middle = self.start + (self.size + 1) // 2
        return Interval(self.start, middle), Interval(middle, self.stop)


@dataclass(frozen=True, slots=True)
class Size:
    """The height and width of a plane; in words it is written WIDTHxHEIGHT.

    >>> Size(3, 4).area
    12
    """

    height: int
    width: int

    def __iter__(self) -> Iterator[int]:
        """The height, then the width, as shapes of arrays have them."""
        return iter((self.height, self.width))

    @property
    def area(self) -> int:
        """Elements in the plane."""
        return self.height * self.width

    def scale(self, factor: int) -> Size:
        """Both sides times ``factor``."""
        return Size(self.height * factor, self.width * factor)

    def cut_to(self, plane: Size) -> Size:
        """The same, no higher and no wider than a plane."""
        return Size(min(self.height, plane.height), min(self.width, plane.width))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a plane: rows ``y`` and columns ``x``.

    >>> Region.whole(Size(4, 6)).shape
    Size(height=4, width=6)
    """

    y: Interval
    x: Interval

    @classmethod
    def whole(cls, plane: Size) -> Self:
        """All of a plane."""
        return cls(Interval(0, plane.height), Interval(0, plane.width))

    @property
    def shape(self) -> Size:
        """Its height and width."""
        return Size(self.y.size, self.x.size)

    @property
    def xywh(self) -> tuple[int, int, int, int]:
        """Its first column and row, its width and height."""
        return self.x.start, self.y.start, self.x.size, self.y.size

    @property
    def area(self) -> int:
        """Elements in it."""
        return self.y.size * self.x.size

    def shift(self, y: int, x: int) -> Region:
        """The same rectangle seen from an origin moved by ``(-y, -x)``."""
        return Region(self.y.shift(y), self.x.shift(x))

    def scale(self, factor: int) -> Region:
        """The rectangle in a plane ``factor`` times as large."""
        return Region(self.y.scale(factor), self.x.scale(factor))

    def divide(self, factor: int) -> Region:
        """The smallest rectangle whose ``scale(factor)`` covers this one."""
        return Region(self.y.divide(factor), self.x.divide(factor))

    def overlap(self, other: Region) -> Region:
        """The rectangle that is in both; of no area if there is none."""
        return Region(self.y.overlap(other.y), self.x.overlap(other.x))

    def without(self, other: Region) -> tuple[Region, ...]:
        """The part of it that is not in ``other``, in up to four rectangles.

        >>> left = Region.whole(Size(4, 6)).without(Region.whole(Size(4, 2)))
        >>> [part.shape for part in left]
        [Size(height=4, width=4)]
        """
        both = self.overlap(other)
        if not both.area:
            return (self,)
        parts = (
            Region(Interval(self.y.start, both.y.start), self.x),
            Region(both.y, Interval(self.x.start, both.x.start)),
            Region(both.y, Interval(both.x.stop, self.x.stop)),
            Region(Interval(both.y.stop, self.y.stop), self.x),
        )
        return tuple(part for part in parts if part.area)

    def clip(self, plane: Size) -> Region:
        """The part inside a plane."""
        return Region(self.y.clip(0, plane.height), self.x.clip(0, plane.width))

    def within(self, outer: Region) -> tuple[slice, slice]:
        """The slices that cut this rectangle out of an array that holds ``outer``."""
        return self.y.within(outer.y), self.x.within(outer.x)


def chunks(count: int, most: int) -> Iterator[Interval]:
    """The integers below ``count``, at most so many at a time.

    >>> [piece.size for piece in chunks(5, 2)]
    [2, 2, 1]
    """
    bounds = [*range(0, count, most), count]
    return (Interval(start, stop) for start, stop in pairwise(bounds))
