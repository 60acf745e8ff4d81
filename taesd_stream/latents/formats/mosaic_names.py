"""Names of the files that a mosaic is made of: each has the number of its row and its column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from taesd_stream.errors import LatentsError

__all__ = ["TileNames", "is_tile_pattern"]

_MEANT: Final = re.compile(r"\{(row|column)\b")
_PLACE: Final = re.compile(r"\{(row|column)(?::(0\d{1,2})?d?)?\}")


def is_tile_pattern(path: Path) -> bool:
    """Whether a path has a place for a row's or a column's number.

    >>> is_tile_pattern(Path("tiles/{row}_{column:03}.npy")), is_tile_pattern(Path("tiles/{x}.npy"))
    (True, False)
    """
    return _MEANT.search(str(path)) is not None


class TileNames:
    """The files that a pattern means, such as ``tiles/{row}_{column:03}.npy``.

    ``{row:03}`` is a number of at least three digits, with zeros before it.

    Raises:
        LatentsError: the pattern's last part has not one place for each of the two numbers, with
            something between them that tells where the first one ends.

    >>> TileNames(Path("tiles/{row}_{column:03}.npy")).path(12, 7).name
    '12_007.npy'
    """

    def __init__(self, pattern: Path) -> None:
        pieces = _PLACE.split(pattern.name)
        names = sorted(pieces[1::3])
        if (
            names != ["column", "row"]
            or len(_MEANT.findall(str(pattern))) != 2
            or not pieces[3].strip("0123456789")
        ):
            raise LatentsError(
                f"{pattern}: expected {{row}} and {{column}} once each in the last part of the "
                "path, with more than digits between them, such as tiles/{row}_{column}.npy or "
                f"tiles/y{{row:04}}x{{column:04}}.npy, found {pattern.name!r}: change the pattern"
            )
        self.pattern = pattern
        self._literals = pieces[0::3]
        self._names = pieces[1::3]
        self._widths = [width or "" for width in pieces[2::3]]

    def path(self, row: int, column: int) -> Path:
        """The file of one place of the grid."""
        numbers = {"row": row, "column": column}
        texts = [
            f"{numbers[name]:{width}d}"
            for name, width in zip(self._names, self._widths, strict=True)
        ]
        before, between, after = self._literals
        return self.pattern.with_name(before + texts[0] + between + texts[1] + after)

    def find(self) -> tuple[range, range]:
        """The numbers of the rows and of the columns of the grid that the files there fill.

        Raises:
            LatentsError: there are no files, or one is missing; the message names the first such.
        """
        found = self._places()
        if not found:
            raise LatentsError(
                f"{self.pattern}: expected files such as {self.path(0, 0).name}, found none: "
                "check the pattern"
            )
        rows, columns = (_from_first_to_last(numbers) for numbers in zip(*found, strict=True))
        # Not product(), which makes lists: a single file may be far away from the others.
        places = ((row, column) for row in rows for column in columns)
        missing = next((place for place in places if place not in found), None)
        if missing is not None:
            raise LatentsError(
                f"{self.pattern}: expected rows {rows[0]} to {rows[-1]} of columns {columns[0]} to "
                f"{columns[-1]}, found no {self.path(*missing).name}: add it"
            )
        return rows, columns

    def _places(self) -> set[tuple[int, int]]:
        """Row and column of every file that fits; what only looks like one is another file."""
        before, between, after = map(re.escape, self._literals)
        fitting = re.compile(rf"{before}(\d+){between}(\d+){after}")
        folder = self.pattern.parent
        if not folder.is_dir():
            raise LatentsError(
                f"{self.pattern}: expected a mosaic's files, found no folder {folder}: "
                "check the path"
            )
        places = set()
        for entry in folder.iterdir():
            match = fitting.fullmatch(entry.name)
            if match:
                numbers = dict(zip(self._names, map(int, match.groups()), strict=True))
                if self.path(**numbers).name == entry.name:
                    places.add((numbers["row"], numbers["column"]))
        return places


def _from_first_to_last(numbers: tuple[int, ...]) -> range:
    return range(min(numbers), max(numbers) + 1)
