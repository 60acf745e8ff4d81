"""Files that must stay as they are while they are being read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from video.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WatchedFiles", "stamp_of"]


def stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    """Inode, size in bytes and time of the last change: another one means another content."""
    return status.st_ino, status.st_size, status.st_mtime_ns


class WatchedFiles:
    """Files as they were when this was made; ``name`` is what errors call them together.

    Raises:
        InputError: one of them is not there.
    """

    def __init__(self, name: str, *paths: Path) -> None:
        self.name, self.paths = name, paths
        self._stamps = self._stamps_now()

    def check(self) -> None:
        """Raise InputError if a file has changed or vanished."""
        if self._stamps_now() != self._stamps:
            raise InputError(
                f"{self.name}: the file changed while it was being read: open it again"
            )

    def _stamps_now(self) -> list[tuple[int, int, int]]:
        try:
            return [stamp_of(path.stat()) for path in self.paths]
        except OSError as error:
            raise InputError(
                f"{self.name}: cannot read it ({error.strerror}): check the path and its"
                " permissions"
            ) from error
