"""Arrays that lie in parts, each of which is a source of its own."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Generic, TypeVar

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import dtype_name
from taesd_stream.latents.source import Store, StoredSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PartedStore", "cut"]

Place = TypeVar("Place")
"""What tells one part from the others: its number, or its row and column."""


class PartedStore(Store, Generic[Place]):
    """An array in parts, of which those that were read last stay open.

    Args:
        first: one of them, which tells the dtype, and how the others are laid out; it is closed.
        most_open: how many stay open.
    """

    def __init__(self, first: StoredSource, *, most_open: int) -> None:
        first.close()
        self.dtype = first.dtype
        self._first = first
        self._most_open = most_open
        self._open: dict[Place, StoredSource] = {}

    def source(self, layout: str, *, name: str, kind: str, part: str) -> StoredSource:
        """The source of the whole; ``part`` is what its description calls one of its parts."""
        first = self._first
        remark = f"each {part} {first.remark}" if first.remark else ""
        return StoredSource(
            self,
            layout,
            name=name,
            kind=kind,
            remark=remark,
            part_layout=first.part_layout,
            metadata=first.metadata,
        )

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    @abstractmethod
    def _opened(self, place: Place) -> StoredSource:
        """A part, opened and found to fit to the others."""

    def _require_fit(
        self, part: StoredSource, size: tuple[int, int, int], name: str, remedy: str
    ) -> None:
        """Refuse a part of another ``size`` (C, h, w), dtype or convention than the first."""
        found = part.channels, part.height, part.width
        if found != size or part.dtype != self.dtype:
            raise LatentsError(
                f"{name}: expected (C, h, w) {size} {dtype_name(self.dtype)} as in the other "
                f"parts, found {found} {dtype_name(part.dtype)}: {remedy}"
            )
        if part.convention != self._first.convention:
            said = [each.convention or "none said" for each in (self._first, part)]
            raise LatentsError(
                f"{name}: expected the convention of the first part ({said[0]}), found {said[1]}: "
                "decode files of two conventions apart"
            )

    def _part(self, place: Place) -> StoredSource:
        source = self._open.pop(place, None)
        if source is None:
            if len(self._open) == self._most_open:
                self._open.pop(next(iter(self._open))).close()
            source = self._opened(place)
        self._open[place] = source
        return source


def cut(part: slice, starts: Sequence[int]) -> Iterator[tuple[int, slice, slice]]:
    """The numbers of the pieces that ``part`` touches, what it takes of each, and where it goes.

    >>> list(cut(slice(3, 10), [0, 5, 10, 15]))
    [(0, slice(3, 5, None), slice(0, 2, None)), (1, slice(0, 5, None), slice(2, 7, None))]
    """
    for number in range(bisect_right(starts, part.start) - 1, bisect_left(starts, part.stop)):
        offset = starts[number]
        start, stop = max(part.start, offset), min(part.stop, starts[number + 1])
        within = slice(start - offset, stop - offset)
        yield number, within, slice(start - part.start, stop - part.start)
