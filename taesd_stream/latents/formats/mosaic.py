"""One large latent, made of the latents in files that lie in a grid."""

from __future__ import annotations

from itertools import accumulate, product
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.formats.mosaic_names import TileNames
from taesd_stream.latents.parts import PartedStore, cut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    import torch

    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import StoredSource

    FileOpener: TypeAlias = Callable[[Path, ReadOptions], StoredSource]

__all__ = ["open_mosaic"]

_MOST_OPEN: Final = 4


def open_mosaic(pattern: Path, options: ReadOptions, open_file: FileOpener) -> StoredSource:
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
    kind = f"a mosaic of {len(store.rows)} x {len(store.columns)} {pattern.suffix} files"
    kind = kind.replace("  ", " ")
    return store.source("C H W", name=str(pattern), kind=kind, part="file")


class _MosaicStore(PartedStore[tuple[int, int]]):
    """Files of one latent each, as one (C, h, w) array; a few of them are open at a time."""

    def __init__(self, names: TileNames, options: ReadOptions, open_file: FileOpener) -> None:
        self.rows, self.columns = names.find()
        first = open_file(names.path(self.rows[0], self.columns[0]), options)
        super().__init__(first, most_open=_MOST_OPEN)
        self._names = names
        self._options = options
        self._open_file = open_file
        self._channels = first.channels
        self._heights: list[int] = []
        self._widths: list[int] = []
        for place in product(range(len(self.rows)), range(len(self.columns))):
            self._part(place)
        self.close()
        self._tops = list(accumulate(self._heights, initial=0))
        self._lefts = list(accumulate(self._widths, initial=0))
        self.shape = (self._channels, self._tops[-1], self._lefts[-1])

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        _, rows, columns = index
        places = product(cut(rows, self._tops), cut(columns, self._lefts))
        for (row, y, to_y), (column, x, to_x) in places:
            self._part((row, column)).copy_latents(out[None, :, to_y, to_x], 0, (y, x))

    def _opened(self, place: tuple[int, int]) -> StoredSource:
        """A file that fits: the first in its row tells the height, in its column the width."""
        row, column = place
        path = self._names.path(self.rows[row], self.columns[column])
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
        self._require_fit(source, size, f"{self._names.pattern}, {path.name}", remedy)
        return source
