"""Files that must stay as they are while they are being read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from video.errors import InputError

__all__ = ["WatchedFiles", "stamp_of"]


def stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    """Inode, size in bytes and time of the last change: another one means another content."""
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class WatchedFiles:
    """Files as they were when they were opened; ``name`` is what errors call them together."""

    name: str
    paths: tuple[Path, ...]
    _stamps: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, name: str, *paths: Path) -> Self:
        """Remember how the files are now.

        Raises:
            InputError: one of them is not there.
        """
        return cls(name, paths, _stamps_of(name, paths))

    def check(self) -> None:
        """Raise InputError if a file has changed or vanished."""
        if _stamps_of(self.name, self.paths) != self._stamps:
            raise InputError(
                f"{self.name}: the file changed while it was being read: open it again"
            )


def _stamps_of(name: str, paths: tuple[Path, ...]) -> tuple[tuple[int, int, int], ...]:
    try:
        return tuple(stamp_of(path.stat()) for path in paths)
    except OSError as error:
        raise InputError(
            f"{name}: cannot read it ({error.strerror}): check the path and its permissions"
        ) from error
