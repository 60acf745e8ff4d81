"""Files with a number in their names: patterns such as ``frame_%05d.png``, and natural order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from video.errors import InputError

__all__ = ["NUMBER", "NumberedFiles", "is_pattern", "natural_order"]

NUMBER: Final = re.compile(r"%(0\d{1,2})?d")
"""The place of the number: ``%d``, or ``%05d`` and the like."""


def is_pattern(path: Path) -> bool:
    """Whether a path's last part holds ``%d``, or ``%05d`` and the like, for a number.

    >>> is_pattern(Path("out/%05d.png")), is_pattern(Path("100%.png"))
    (True, False)
    """
    return NUMBER.search(path.name) is not None


def natural_order(path: Path) -> list[tuple[int, str]]:
    """A key that sorts ``f2`` before ``f10``: runs of digits count as numbers."""
    pieces = re.split(r"(\d+)", path.name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]


@dataclass(frozen=True, slots=True)
class NumberedFiles:
    """Files of a folder whose names differ in a number.

    Attributes:
        folder: where they are, or will be.
        before, after: what surrounds the number in a name.
        digits: of the number at least, filled up with zeros.

    >>> NumberedFiles.of(Path("out/100%_%03d.png")).file(7).name
    '100%_007.png'
    """

    folder: Path
    before: str
    digits: int
    after: str

    @classmethod
    def of(cls, pattern: Path, *, percent: str = "%") -> Self:
        """The files that a pattern means, in which ``percent`` stands for a percent sign.

        Raises:
            InputError: the pattern has no place for a number, or more than one.
        """
        name = pattern.name
        places = list(NUMBER.finditer(name))
        if len(places) != 1:
            raise InputError(
                f"expected one number such as %05d in the name {name!r}, found {len(places)}: "
                "leave one"
            )
        around = (name[: places[0].start()], name[places[0].end() :])
        before, after = (part.replace(percent, "%") for part in around)
        return cls(pattern.parent, before, int(places[0][1] or 0), after)

    def file(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def existing(self) -> list[tuple[int, Path]]:
        """Numbers and files that are there, in order, however many digits each has."""
        if not self.folder.is_dir():
            return []
        names = (entry.name for entry in self.folder.iterdir())
        return [(number, self.folder / name) for number, name in self.numbers_in(names)]

    def numbers_in(self, names: Iterable[str]) -> list[tuple[int, str]]:
        """The numbers of those names that fit, with these, in order."""
        fitting = re.compile(rf"{re.escape(self.before)}(\d+){re.escape(self.after)}")
        found = ((fitting.fullmatch(name), name) for name in names)
        return sorted((int(match[1]), name) for match, name in found if match)
