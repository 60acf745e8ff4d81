"""Names of files with a number in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import InputError, LatentsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["files_of_pattern", "is_pattern", "natural_order", "numbered"]

_NUMBER: Final = re.compile(r"%(0\d{1,2})?d")


def is_pattern(path: Path) -> bool:
    """Whether a path's last part holds ``%d``, or ``%05d`` and the like, for a number.

    >>> from pathlib import Path
    >>> is_pattern(Path("out/%05d.png")), is_pattern(Path("100%.png"))
    (True, False)
    """
    return _NUMBER.search(path.name) is not None


def numbered(pattern: Path, number: int) -> Path:
    """The file that a pattern means by ``number``.

    Raises:
        InputError: the pattern has more than one place for a number.

    >>> from pathlib import Path
    >>> numbered(Path("out/100%_%03d.png"), 7).name
    '100%_007.png'
    """
    before, digits, after = _split(pattern)
    return pattern.with_name(f"{before}{number:{digits}d}{after}")


def files_of_pattern(pattern: Path) -> list[Path]:
    """The files that fit, by number; a gap is an error, for it is a frame that is lost.

    Raises:
        LatentsError: there are none, or one of them is missing between two others.
    """
    before, _, after = _split(pattern)
    fitting = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    if not pattern.parent.is_dir():
        raise LatentsError(
            f"{pattern}: expected numbered files, found no folder {pattern.parent}: check the path"
        )
    matches = (fitting.fullmatch(entry.name) for entry in pattern.parent.iterdir())
    numbers = sorted(
        int(match[1])
        for match in matches
        if match and numbered(pattern, int(match[1])).name == match[0]
    )
    if not numbers:
        raise LatentsError(
            f"{pattern}: expected files such as {numbered(pattern, 0).name}, found none: "
            "check the pattern"
        )
    for expected, number in enumerate(numbers, start=numbers[0]):
        if number != expected:
            raise LatentsError(
                f"{pattern}: expected consecutive numbers, found {numbered(pattern, number).name} "
                f"and no {numbered(pattern, expected).name}: add it, or read the whole folder"
            )
    return [numbered(pattern, number) for number in numbers]


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """A key that sorts ``f2`` before ``f10``: runs of digits count as numbers."""
    pieces = re.split(r"([0-9]+)", path.name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def _split(pattern: Path) -> tuple[str, str, str]:
    """What is before the number, its width as a format, and what is after it."""
    pieces = list(_NUMBER.finditer(pattern.name))
    if len(pieces) != 1:
        raise InputError(
            f"expected one number such as %05d in the name {pattern.name!r}, found {len(pieces)}: "
            "leave one"
        )
    place = pieces[0]
    return pattern.name[: place.start()], place[1] or "", pattern.name[place.end() :]
