"""Sources of what lies at a path: a file, a folder, files that fit a pattern."""

from __future__ import annotations

import os
import re
import sys
import weakref
from functools import partial
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import refuse_broken, refuse_unreadable
from taesd_stream.latents.formats.mosaic import open_mosaic
from taesd_stream.latents.formats.mosaic_names import is_tile_pattern
from taesd_stream.latents.formats.zarr_folders import open_zarr
from taesd_stream.latents.opening_addresses import open_address
from taesd_stream.latents.opening_files import (
    consecutive,
    latents_among,
    open_file,
    open_sequence,
)
from taesd_stream.latents.raw_store import FileBytes
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.remote.addresses import is_address
from video.large.zarr_folders import is_zarr
from video.safe_files.numbering import NumberedFiles, is_pattern
from video.safe_files.scratch import ScratchFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taesd_stream.latents.source import StoredSource

__all__ = ["open_path"]

_GLOB: Final = re.compile(r"[*?\[]")
_OTHER_ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_PIECE_BYTES: Final = 2**20


def open_path(path: str | os.PathLike[str], options: ReadOptions) -> StoredSource:
    """A source for what is at a path.

    That is a file; a Zarr folder, or one within a Zarr group, known by its metadata; a folder of
    latents; a numbered pattern, or one of the shell's such as ``z/**/*.pt``; a mosaic's pattern,
    with {row} and {column}; ``-``: standard input; or the address of what lies elsewhere.

    Raises:
        LatentsError: there is nothing that can be read as latents; the message says why.
        MissingExtraError: it is a Zarr folder and zarr is not installed.
    """
    text = os.fspath(path)
    if is_address(text):
        return open_address(text, options)
    _refuse_other_schemes(text)
    if text == "-":
        return open_file(_spooled_input(), options)
    target = Path(text)
    with refuse_unreadable(text):
        if is_tile_pattern(target) and not target.exists():
            return open_mosaic(target, options, _open_one)
        if target.is_dir() and not is_zarr(target):
            return _open_sequence(text, _files_of_folder(target), options)
        if is_pattern(target) and not target.exists():
            return _open_sequence(text, _files_of_pattern(target), options)
        if _GLOB.search(text) and not target.exists():
            return _open_sequence(text, _files_of_glob(text), options)
        return _open_one(target, options)


def _refuse_other_schemes(text: str) -> None:
    scheme = _OTHER_ADDRESS.match(text)
    if scheme is not None and not os.path.exists(text):
        raise LatentsError(
            f"{text}: expected a path, or an address of s3://, gs:// or https://, found "
            f"{scheme[0]}: copy the file to this machine first"
        )


def _open_one(path: Path, options: ReadOptions) -> StoredSource:
    if is_zarr(path):
        return open_zarr(path, options)
    if not path.is_file() and path.exists():
        raise LatentsError(
            f"{path}: expected a file or a folder, found something else: "
            "redirect it to standard input and read -"
        )
    return open_file(FileBytes.of(path, str(path)), options)


def _open_sequence(name: str, paths: Iterable[Path], options: ReadOptions) -> StoredSource:
    return open_sequence(name, {path: partial(_open_one, path) for path in paths}, options)


def _files_of_folder(folder: Path) -> list[Path]:
    expected = f"{folder}: expected a folder of latents of one kind"
    return latents_among(folder.iterdir(), expected, _is_there)


def _files_of_glob(pattern: str) -> list[Path]:
    """The latents that fit a pattern which no shell has expanded, such as ``z/**/*.pt``."""
    found = map(Path, glob(pattern, recursive=True))
    expected = f"{pattern}: expected latents of one kind that fit the pattern"
    return latents_among(found, expected, _is_there)


def _is_there(entry: Path) -> bool:
    return entry.is_file() or is_zarr(entry)


def _files_of_pattern(pattern: Path) -> list[Path]:
    files = NumberedFiles.of(pattern)
    if not files.folder.is_dir():
        raise LatentsError(
            f"{pattern}: expected numbered files, found no folder {files.folder}: check the path"
        )
    return consecutive(files, (entry.name for entry in files.folder.iterdir()), str(pattern))


def _spooled_input() -> FileBytes:
    """Standard input, copied to a scratch file that goes when nobody reads it any more."""
    if sys.stdin is None or sys.stdin.isatty():
        raise LatentsError(
            "standard input: expected latents, found a terminal: redirect a file, or give its path"
        )
    scratch = ScratchFile(is_named=True)
    try:
        while piece := _read_input():
            scratch.add(piece)
        file_bytes = FileBytes.of(scratch.path, "standard input")
    except BaseException:
        scratch.close()
        raise
    weakref.finalize(file_bytes, scratch.close)
    return file_bytes


def _read_input() -> bytes:
    found = "standard input: expected latents, found that it cannot be read"
    with refuse_broken(found, "save them to a file, and give its path", OSError):
        return sys.stdin.buffer.read(_PIECE_BYTES)
