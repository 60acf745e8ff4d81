"""Zarr groups and folders of Deep Zoom tiles: recognised, made, and replaced by their own kind."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from video.safe_files.part_file import appeared, check_output, require_folder
from video.safe_files.part_folder import PartFolder, check_folder

__all__ = [
    "TiledPart",
    "check_tiled",
    "check_zarr",
    "is_tile_folder",
    "is_zarr_group",
    "tile_folder",
]

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
    check_folder(path, is_zarr_group, "Zarr group", overwrite)
    require_folder(path)


def check_tiled(path: Path, overwrite: bool) -> None:
    """Refuse a path where no Deep Zoom picture, ``x.dzi`` and ``x_files``, may be made.

    Raises:
        OutputExistsError: if it is there already and ``overwrite`` is false.
        InputError: if ``x_files`` holds other things than tiles, whatever ``overwrite`` says,
            ``x.dzi`` is a folder, or the folder they should be made in is missing.
    """
    check_output(path, overwrite=overwrite)
    check_folder(tile_folder(path), is_tile_folder, "folder of Deep Zoom tiles", overwrite)


class TiledPart:
    """The unfinished pair ``x.part.dzi`` and ``x.part_files`` beside ``target``, ``x.dzi``.

    The sibling's name follows the folder's, so that the pair can be opened as it is. With ``place``
    both are made there, on the same disk.
    """

    def __init__(self, target: Path, place: Path | None = None) -> None:
        self.target = target
        self._folder = PartFolder(tile_folder(target), "_files", is_tile_folder, place)
        tiles = self._folder.path
        self.path = tiles.with_name(f"{tiles.name.removesuffix('_files')}{target.suffix}")

    def publish(self, *, overwrite: bool) -> None:
        """Name the tiles first and ``x.dzi`` last: whoever sees that finds them all.

        Raises:
            OutputExistsError: if either is there and may not be replaced; ours stay.
            OutputError: if all is well but for the old tiles, which could not be removed.
        """
        if self.target.exists() and not overwrite:
            raise appeared(self.target, self.path)
        with self._folder.in_place(overwrite=overwrite):
            os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove the unfinished pair; nothing happens if it is gone."""
        self._folder.discard()
        self.path.unlink(missing_ok=True)
