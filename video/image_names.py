"""Names of numbered pictures: a folder, a pattern such as ``frame_%05d.png``, or a single still."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from video.errors import InputError
from video.safe_files.numbering import NUMBER, NumberedFiles, natural_order

if TYPE_CHECKING:
    from os import PathLike

__all__ = [
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "ImageTarget",
    "parse_target",
    "sequence_files",
]

WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
READABLE_SUFFIXES = (*WRITABLE_SUFFIXES, ".bmp", ".tif", ".tiff")
_FOLDER_NAME = "%05d.png"


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """Where pictures go: the ``path`` of a still, or with a ``%d`` in its name for numbers."""

    path: Path
    is_still: bool

    def file(self, index: int) -> Path:
        return self.path if self.is_still else _numbered(self.path).file(index)

    def existing(self) -> list[Path]:
        """Files that bear a name of ours already, in the order of their numbers."""
        if self.is_still:
            return [self.path] if self.path.exists() else []
        return [file for _, file in _numbered(self.path).existing()]


def _numbered(pattern: Path) -> NumberedFiles:
    return NumberedFiles.of(pattern, percent="%%")


def parse_target(target: str | PathLike[str]) -> ImageTarget:
    """Read where pictures are to go from a folder's name, a pattern or a file's name.

    Raises:
        InputError: if it is none of these.
    """
    path = Path(target)
    if "%" in str(path.parent):
        raise InputError(f"expected the number in the file's name, not its folder: '{path}'")
    if path.is_dir() or not path.suffix or str(target).endswith(("/", os.sep)):
        _check_pattern(path.name, fields=0)
        return ImageTarget(path / _FOLDER_NAME, is_still=False)
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise InputError(
            f"expected pictures whose names end in {', '.join(WRITABLE_SUFFIXES)}; found '{path}'"
        )
    is_still = "%" not in path.name
    if not is_still:
        _check_pattern(path.name, fields=1)
    return ImageTarget(path, is_still)


def _check_pattern(name: str, *, fields: int) -> None:
    rest, found = NUMBER.subn("", name.replace("%%", ""))
    if found != fields or "%" in rest:
        raise InputError(
            f"expected {'one %d or %05d and no other' if fields else 'no'} % in '{name}'"
        )


def sequence_files(source: str | PathLike[str]) -> list[Path]:
    """The pictures of a folder, a pattern (``%d``) or a single file, in the order of their numbers.

    Raises:
        InputError: if there are none.
    """
    path = Path(source)
    if path.is_dir():
        files = [entry for entry in path.iterdir() if entry.suffix.lower() in READABLE_SUFFIXES]
        files = sorted((file for file in files if file.is_file()), key=natural_order)
    elif "%" in path.name and not path.is_file():
        _check_pattern(path.name, fields=1)
        files = [file for _, file in _numbered(path).existing()]
    else:
        files = [path] if path.is_file() else []
    if not files:
        raise InputError(
            f"expected pictures ({', '.join(READABLE_SUFFIXES)}) at '{path}'; found none"
        )
    return files
