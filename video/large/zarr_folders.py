"""The folders that Zarr arrays and groups lie in, on this machine or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from video.safe_files.watched_files import WatchedFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["VERSIONS", "LocalZarrFolder", "Watch", "ZarrFolder", "is_zarr"]

VERSIONS: Final = {"zarr.json": 3, ".zarray": 2, ".zgroup": 2}
"""The files of metadata, with the version of the format that each belongs to."""


class Watch(Protocol):
    """Files that must stay as they are while they are being read; ``name`` is for errors."""

    @property
    def name(self) -> str: ...

    def check(self) -> None:
        """Raise InputError if a file has changed or vanished."""


class ZarrFolder(Protocol):
    """A folder that may hold the metadata of a Zarr array or group, wherever it is.

    ``name`` is what errors call it.
    """

    @property
    def name(self) -> str: ...

    def store(self) -> object:
        """What the zarr library opens an array by."""

    def holds(self, file: str) -> bool:
        """Whether there is a file of that name in it."""

    def read(self, file: str, most_bytes: int) -> bytes:
        """All bytes of a file; ValueError if there are too many, OSError if they cannot be had."""

    def members(self) -> list[str]:
        """The names of the arrays and groups in it, in order."""

    def below(self, path: str) -> ZarrFolder | None:
        """A folder within it; None where the path leads elsewhere."""

    def watch(self, name: str, files: Sequence[str]) -> Watch:
        """Files in it, as they are now."""


@dataclass(frozen=True)
class LocalZarrFolder:
    """A folder of this machine."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def store(self) -> object:
        return str(self.path)

    def holds(self, file: str) -> bool:
        return (self.path / file).is_file()

    def read(self, file: str, most_bytes: int) -> bytes:
        size = (self.path / file).stat().st_size
        if size > most_bytes:
            raise ValueError(f"{size} bytes of it")
        return (self.path / file).read_bytes()

    def members(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if is_zarr(path))

    def below(self, path: str) -> LocalZarrFolder | None:
        folder = self.path / path
        try:
            is_within = folder.resolve().is_relative_to(self.path.resolve())
        except (OSError, ValueError):  # a name that no file can have
            is_within = False
        return LocalZarrFolder(folder) if is_within else None

    def watch(self, name: str, files: Sequence[str]) -> Watch:
        return WatchedFiles(name, *(self.path / file for file in files))


def is_zarr(path: Path) -> bool:
    """Tell whether a path is a folder that holds the metadata of a Zarr array or group.

    >>> is_zarr(Path("/"))
    False
    """
    return path.is_dir() and any((path / name).is_file() for name in VERSIONS)
