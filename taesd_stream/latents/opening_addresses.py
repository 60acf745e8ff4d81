"""Sources of what lies at an address, such as ``s3://bucket/latents.safetensors``."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import as_latents_errors
from taesd_stream.latents.formats.mosaic_names import is_tile_pattern
from taesd_stream.latents.formats.zarr_folders import open_zarr
from taesd_stream.latents.opening_files import (
    consecutive,
    latents_among,
    open_file,
    open_sequence,
)
from taesd_stream.latents.remote_bytes import bytes_at
from taesd_stream.remote.addresses import name_at, scheme_of
from taesd_stream.remote.folder import RemoteZarrFolder, is_zarr_at
from taesd_stream.remote.place import Place
from video.safe_files.numbering import NumberedFiles, is_pattern

if TYPE_CHECKING:
    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import StoredSource

__all__ = ["open_address"]

_GLOB: Final = re.compile(r"[*\[]")
_ZARR: Final = ".zarr"


def open_address(address: str, options: ReadOptions) -> StoredSource:
    """A source for what is at an address.

    That is a file; of a store that can list them, also a folder of files, a numbered pattern, or
    one of the shell's for the last part; or a Zarr folder.

    Raises:
        LatentsError: there is nothing that can be read as latents; the message says why.
        MissingExtraError: a library for it is not installed.
    """
    with as_latents_errors():
        place = Place.of(address)
    name = Path(name_at(address))
    if is_tile_pattern(name):
        raise LatentsError(
            f"{place.address}: expected one file, a folder or a numbered pattern, found a mosaic's:"
            " copy its files to this machine first"
        )
    can_list = scheme_of(address) not in {"http", "https"}
    if can_list and is_pattern(name):
        return _open_numbered(place, name, options)
    if can_list and _GLOB.search(name.name):
        return _open_among(place.parent, name.name, options)
    kind = place.kind(LatentsError)
    if kind == "file" and not (name.suffix.lower() == _ZARR and not can_list):
        return open_file(bytes_at(place), options)
    with as_latents_errors():
        is_zarr = is_zarr_at(place) if kind == "directory" or not can_list else False
    if is_zarr:
        return open_zarr(RemoteZarrFolder(place), options)
    if kind is None:
        raise LatentsError(
            f"{place.address}: expected latents, found nothing there: check the address"
        )
    return _open_among(place, None, options)


def _open_among(folder: Place, pattern: str | None, options: ReadOptions) -> StoredSource:
    """The latents of a folder, or those whose names fit."""
    entries = folder.entries(LatentsError)
    wanted = [name for name in entries if pattern is None or fnmatchcase(name, pattern)]
    if pattern is None:
        name, told = folder.address, "expected a folder of latents of one kind"
    else:
        name, told = folder.below(pattern).address, "expected latents of one kind that fit it"

    def is_there(entry: Path) -> bool:
        return entries[entry.name] == "file" or entry.suffix.lower() == _ZARR

    found = latents_among(map(Path, wanted), f"{name}: {told}", is_there)
    return _open_sequence(name, folder, found, options)


def _open_numbered(place: Place, name: Path, options: ReadOptions) -> StoredSource:
    entries = place.parent.entries(LatentsError)
    with as_latents_errors():
        found = consecutive(NumberedFiles.of(name), entries, place.address)
    return _open_sequence(place.address, place.parent, found, options)


def _open_sequence(
    name: str, folder: Place, files: list[Path], options: ReadOptions
) -> StoredSource:
    openers = {file: partial(_open_one, folder.below(file.name)) for file in files}
    return open_sequence(name, openers, options)


def _open_one(place: Place, options: ReadOptions) -> StoredSource:
    if name_at(place.address).lower().endswith(_ZARR):
        return open_zarr(RemoteZarrFolder(place), options)
    return open_file(bytes_at(place), options)
