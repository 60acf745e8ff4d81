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
    """Tell whether a path has a place for a row's or a column's number.

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
        digits = iter(rf"(?P<{name}>\d+)" for name in pieces[1::3])
        self._fitting = re.compile(
            "".join(re.escape(literal) + next(digits, "") for literal in pieces[0::3])
        )

    def path(self, row: int, column: int) -> Path:
        """The file of one place of the grid."""
        numbers = {"row": row, "column": column}
        name = _PLACE.sub(lambda place: f"{numbers[place[1]]:{place[2] or ''}d}", self.pattern.name)
        return self.pattern.with_name(name)

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
        folder = self.pattern.parent
        if not folder.is_dir():
            raise LatentsError(
                f"{self.pattern}: expected a mosaic's files, found no folder {folder}: "
                "check the path"
            )
        matches = (self._fitting.fullmatch(entry.name) for entry in folder.iterdir())
        places = [(int(match["row"]), int(match["column"]), match[0]) for match in matches if match]
        return {place[:2] for place in places if self.path(*place[:2]).name == place[2]}


def _from_first_to_last(numbers: tuple[int, ...]) -> range:
    return range(min(numbers), max(numbers) + 1)
