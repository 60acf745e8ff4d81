"""Outputs that are folders: reserved, published and replaced with care for what is not ours."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from video.errors import InputError, OutputError, OutputExistsError
from video.safe_files.part_file import check_output, explain_os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "PartFolder",
    "TiledPart",
    "check_tiled",
    "check_zarr",
    "is_tile_folder",
    "is_zarr_group",
    "tile_folder",
]

_MAX_PARTS = 100
_LEVEL = re.compile(r"\d{1,2}")
_TILE = re.compile(r"\d+_\d+\.(jpg|jpeg|png)")
# What libvips puts beside the levels.
_PROPERTIES = "vips-properties.xml"


def is_zarr_group(folder: Path) -> bool:
    """Whether ``folder`` is a Zarr group, of version 3 or 2, and no link to one."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    if (folder / ".zgroup").is_file():
        return True
    try:
        metadata = json.loads((folder / "zarr.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(metadata, dict) and metadata.get("node_type") == "group"


def is_tile_folder(folder: Path) -> bool:
    """Whether ``folder`` holds the tiles of a Deep Zoom picture, nothing else, and is no link."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        with os.scandir(folder) as levels:
            return all(level.name == _PROPERTIES or _is_level(level) for level in levels)
    except OSError:
        return False


def _is_level(entry: os.DirEntry[str]) -> bool:
    if not _LEVEL.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
        return False
    with os.scandir(entry.path) as tiles:
        return all(_TILE.fullmatch(tile.name) for tile in tiles)


def tile_folder(descriptor: Path) -> Path:
    """Where the tiles of ``x.dzi`` are: ``x_files``.

    Example:
        >>> tile_folder(Path("a/x.dzi")).as_posix()
        'a/x_files'
    """
    return descriptor.with_name(f"{descriptor.stem}_files")


def check_zarr(path: Path, overwrite: bool) -> None:
    """Refuse a path where no Zarr group may be made.

    Raises:
        OutputExistsError: if a group is there and ``overwrite`` is false.
        InputError: if anything else is there, whatever ``overwrite`` says, or the folder it
            should be made in is not.
    """
    _check_folder(path, is_zarr_group, "Zarr group", overwrite)
    if not path.parent.is_dir():
        raise InputError(
            f"cannot write '{path}': there is no folder '{path.parent}'; create it first"
        )


def check_tiled(path: Path, overwrite: bool) -> None:
    """Refuse a path where no Deep Zoom picture, ``x.dzi`` and ``x_files``, may be made.

    Raises:
        OutputExistsError: if it is there already and ``overwrite`` is false.
        InputError: if ``x_files`` holds other things than tiles, whatever ``overwrite`` says,
            ``x.dzi`` is a folder, or the folder they should be made in is missing.
    """
    check_output(path, overwrite=overwrite)
    _check_folder(tile_folder(path), is_tile_folder, "folder of Deep Zoom tiles", overwrite)


def _check_folder(path: Path, is_ours: Callable[[Path], bool], kind: str, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not is_ours(path):
        raise InputError(
            f"'{path}' is there and is no {kind}, so it is never replaced; move it away, or give"
            " another name"
        )
    if not overwrite:
        raise OutputExistsError(
            f"'{path}' exists already; give another name, or --overwrite it"
            " (overwrite=True in Python)"
        )


def _appeared(target: Path, part: Path) -> OutputExistsError:
    """The error that ends a work whose name was taken meanwhile."""
    return OutputExistsError(
        f"'{target}' appeared while it was being written and was left as it is; the new one is"
        f" '{part}'"
    )


class PartFolder:
    """The unfinished folder beside ``target``, reserved for one writer: PartFile for folders.

    ``x.part.ome.zarr`` beside ``x.ome.zarr``, or ``.part2`` and so on where that is taken.

    Args:
        target: the final path; its name ends in ``suffix``.
        suffix: what stays at the end of the name.
        is_ours: whether a folder at ``target`` is of the kind that may be replaced.
        place: the folder to make it in, on the same disk; None is that of ``target``.

    Raises:
        InputError: if it cannot be created.
    """

    def __init__(
        self,
        target: Path,
        suffix: str,
        is_ours: Callable[[Path], bool],
        place: Path | None = None,
    ) -> None:
        self.target = target
        self._stem, self._suffix = target.name[: -len(suffix)], target.name[-len(suffix) :]
        self._is_ours = is_ours
        self.path = self._reserve("part", place or target.parent)

    def _reserve(self, mark: str, place: Path) -> Path:
        for number in range(1, _MAX_PARTS + 1):
            name = f"{self._stem}.{mark}{number if number > 1 else ''}{self._suffix}"
            path = place / name
            try:
                path.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise explain_os_error(self.target, error) from error
                raise InputError(
                    f"cannot write '{self.target}': {error.strerror}; choose another place"
                ) from error
            return path
        raise InputError(
            f"'{place}' holds {_MAX_PARTS} unfinished folders of '{self.target.name}'; remove them"
        )

    def publish(self, *, overwrite: bool) -> None:
        """Give the finished folder its final name; what it replaces is removed after that.

        Raises:
            OutputExistsError: if ``target`` is there and may not be replaced; both stay.
            OutputError: if all is well but for the old folder, which could not be removed.
        """
        with self.in_place(overwrite=overwrite):
            pass

    @contextlib.contextmanager
    def in_place(self, *, overwrite: bool) -> Iterator[None]:
        """As ``publish``; but if the block fails, everything is put back as it was."""
        old = self._make_room(overwrite=overwrite)
        try:
            self.path.rename(self.target)
            try:
                yield
            except BaseException:
                self.target.rename(self.path)
                raise
        except BaseException:
            if old is not None:
                old.rename(self.target)
            raise
        if old is not None:
            self._remove(old)

    def _make_room(self, *, overwrite: bool) -> Path | None:
        """Move what ``target`` is out of the way, since no folder is replaced in one step."""
        if not os.path.lexists(self.target):
            return None
        if not (overwrite and self._is_ours(self.target)):
            raise _appeared(self.target, self.path)
        old = self._reserve("old", self.target.parent)
        old.rmdir()
        self.target.rename(old)
        return old

    def _remove(self, old: Path) -> None:
        try:
            shutil.rmtree(old)
        except OSError as error:
            raise OutputError(
                f"'{self.target}' is complete, but the one it replaced could not be removed:"
                f" '{old}' ({error.strerror})"
            ) from error

    def discard(self) -> None:
        """Remove the unfinished folder; nothing happens if it is gone."""
        shutil.rmtree(self.path, ignore_errors=True)


class TiledPart:
    """The unfinished pair ``x.part.dzi`` and ``x.part_files`` beside ``target``, ``x.dzi``.

    The sibling's name follows the folder's, so that the pair can be opened as it is. With ``place``
    both are made there, on the same disk.
    """

    def __init__(self, target: Path, place: Path | None = None) -> None:
        self.target = target
        self._folder = PartFolder(tile_folder(target), "_files", is_tile_folder, place)
        tiles = self._folder.path
        self.path = tiles.with_name(f"{tiles.name[: -len('_files')]}{target.suffix}")

    def publish(self, *, overwrite: bool) -> None:
        """Name the tiles first and ``x.dzi`` last: whoever sees that finds them all.

        Raises:
            OutputExistsError: if either is there and may not be replaced; ours stay.
            OutputError: if all is well but for the old tiles, which could not be removed.
        """
        if self.target.exists() and not overwrite:
            raise _appeared(self.target, self.path)
        with self._folder.in_place(overwrite=overwrite):
            os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove the unfinished pair; nothing happens if it is gone."""
        self._folder.discard()
        self.path.unlink(missing_ok=True)
