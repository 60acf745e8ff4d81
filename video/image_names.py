"""Names of numbered pictures: a folder, a pattern such as ``frame_%05d.png``, or a single still."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from video.errors import InputError
from video.file_kinds import FileKind, kind_of_file, refuse_unread
from video.safe_files.numbering import NUMBER, NumberedFiles, natural_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

__all__ = [
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "ImageTarget",
    "check_picture_name",
    "parse_target",
    "sequence_files",
    "skipped_pictures",
]

WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
READABLE_SUFFIXES = (
    *WRITABLE_SUFFIXES,
    *(".bmp", ".tif", ".tiff", ".heic", ".heif", ".hif", ".avif", ".jfif", ".jpe", ".jp2", ".j2k"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".qoi"),
)
_FOLDER_NAME = "%05d.png"


@dataclass(frozen=True, slots=True)
class ImageTarget:
    """Where pictures go: the ``path`` of a still, or files ``numbered`` after that pattern."""

    path: Path
    numbered: NumberedFiles | None

    @classmethod
    def of(cls, path: Path) -> Self:
        """A still, or what a pattern means.

        Raises:
            InputError: if the name holds a % that is no number's only place.
        """
        if "%" not in path.name:
            return cls(path, None)
        _check_pattern(path.name, fields=1)
        return cls(path, NumberedFiles.of(path, percent="%%"))

    def file(self, index: int) -> Path:
        return self.numbered.file(index) if self.numbered else self.path

    def existing(self) -> list[Path]:
        """Files that bear a name of ours already, in the order of their numbers."""
        if self.numbered:
            return [file for _, file in self.numbered.existing()]
        return [self.path] if self.path.exists() else []


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
        return ImageTarget.of(path / _FOLDER_NAME)
    check_picture_name(path)
    return ImageTarget.of(path)


def check_picture_name(path: Path) -> None:
    """Raise InputError unless the name ends as that of a picture that can be written."""
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise InputError(
            f"expected a picture whose name ends in {', '.join(WRITABLE_SUFFIXES)}; found '{path}'"
        )


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
        files = [entry for entry in _visible(path) if entry.suffix.lower() in READABLE_SUFFIXES]
        files = sorted((file for file in files if file.is_file()), key=natural_order)
    else:
        files = [path] if path.is_file() else ImageTarget.of(path).existing()
    if not files:
        for file, kind in skipped_pictures(path):
            refuse_unread(kind, file)
        raise InputError(
            f"expected pictures ({', '.join(READABLE_SUFFIXES)}) at '{path}'; found none"
        )
    return files


def skipped_pictures(source: Path) -> list[tuple[Path, FileKind]]:
    """What looks like a picture in a folder, and is not among its ``sequence_files``."""
    if not source.is_dir():
        return []
    found = []
    for entry in sorted(_visible(source), key=natural_order):
        if entry.suffix.lower() not in READABLE_SUFFIXES and entry.is_file():
            with suppress(InputError):  # it cannot be read
                kind = kind_of_file(entry)
                if kind is not None and kind.is_picture:
                    found.append((entry, kind))
    return found


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder, without ._IMG.png, which is what macOS notes of IMG.png."""
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))
