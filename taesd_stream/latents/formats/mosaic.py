"""One large latent, made of the latents in files that lie in a grid."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, product
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.formats.mosaic_names import TileNames
from taesd_stream.latents.source import Store, StoredSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import torch

    from taesd_stream.latents.read_options import ReadOptions

__all__ = ["open_mosaic"]

_MOST_OPEN: Final = 4


def open_mosaic(
    pattern: Path, options: ReadOptions, open_file: Callable[[Path, ReadOptions], StoredSource]
) -> StoredSource:
    """A source for a mosaic: its layout is C H W, and a region reads the files that it touches.

    Every file is opened once here, to learn its size, and again when it is read from.

    Args:
        pattern: what :class:`TileNames` takes.
        options: how each file is to be read.
        open_file: what opens one.

    Raises:
        LatentsError: a file is missing, cannot be read, holds more than one latent, or does not
            fit beside the others.
    """
    store = _MosaicStore(TileNames(pattern), options, open_file)
    remark = f"each file {store.part_remark}" if store.part_remark else ""
    return StoredSource(
        store,
        "C H W",
        name=str(pattern),
        kind=f"a mosaic of {store.rows} x {store.columns} {pattern.suffix} files".replace(
            "  ", " "
        ),
        remark=remark,
        part_layout=store.part_layout,
    )


class _MosaicStore(Store):
    """Files of one latent each, as one (C, h, w) array; a few of them are open at a time."""

    def __init__(
        self,
        names: TileNames,
        options: ReadOptions,
        open_file: Callable[[Path, ReadOptions], StoredSource],
    ) -> None:
        self._names = names
        self._options = options
        self._open_file = open_file
        self._open: dict[tuple[int, int], StoredSource] = {}
        rows, columns = names.find()
        self._first = rows[0], columns[0]
        self.rows, self.columns = len(rows), len(columns)
        with open_file(names.path(*self._first), options) as first:
            self._channels, self.dtype = first.channels, first.dtype
            self.part_layout, self.part_remark = first.part_layout, first.remark
        self._heights: list[int] = []
        self._widths: list[int] = []
        for row, column in product(range(self.rows), range(self.columns)):
            self._opened(row, column).close()
        self._tops = list(accumulate(self._heights, initial=0))
        self._lefts = list(accumulate(self._widths, initial=0))
        self.shape: tuple[int, ...] = (self._channels, self._tops[-1], self._lefts[-1])

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        _, rows, columns = index
        places = product(_cut(rows, self._tops), _cut(columns, self._lefts))
        for (row, y, to_y), (column, x, to_x) in places:
            self._source(row, column).copy_latents(out[None, :, to_y, to_x], 0, (y, x))

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _source(self, row: int, column: int) -> StoredSource:
        """A file that stays open while it is among the last few to be used."""
        source = self._open.pop((row, column), None)
        if source is None:
            source = self._opened(row, column)
            if len(self._open) == _MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
        self._open[row, column] = source
        return source

    def _opened(self, row: int, column: int) -> StoredSource:
        """A file that fits: the first in its row tells the height, in its column the width."""
        path = self._names.path(self._first[0] + row, self._first[1] + column)
        source = self._open_file(path, self._options)
        if len(source) != 1:
            raise LatentsError(
                f"{self._names.pattern}: expected one latent in each file, found {len(source)} in "
                f"{path.name}: save them in files of their own"
            )
        if row == len(self._heights):
            self._heights.append(source.height)
        if column == len(self._widths):
            self._widths.append(source.width)
        size = self._channels, self._heights[row], self._widths[column]
        remedy = (
            "give all files one dtype, those of a row one height and those of a column one width"
        )
        source.require_size(size, self.dtype, f"{self._names.pattern}, {path.name}", remedy)
        return source


def _cut(part: slice, starts: Sequence[int]) -> Iterator[tuple[int, slice, slice]]:
    """The numbers of the pieces that ``part`` touches, what it takes of each, and where it goes.

    >>> list(_cut(slice(3, 10), [0, 5, 10, 15]))
    [(0, slice(3, 5, None), slice(0, 2, None)), (1, slice(0, 5, None), slice(2, 7, None))]
    """
    for number in range(bisect_right(starts, part.start) - 1, bisect_left(starts, part.stop)):
        start, stop = max(part.start, starts[number]), min(part.stop, starts[number + 1])
        offset = starts[number]
        yield (
            number,
            slice(start - offset, stop - offset),
            slice(start - part.start, stop - part.start),
        )
