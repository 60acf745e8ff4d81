"""Sources of what lies at a path, told by its bytes, whatever the name says."""

from __future__ import annotations

import os
import re
import sys
import weakref
import zipfile
from functools import partial
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.array_choice import short
from taesd_stream.latents.checks import refuse_broken, refuse_unreadable
from taesd_stream.latents.formats.mosaic import open_mosaic
from taesd_stream.latents.formats.mosaic_names import is_tile_pattern
from taesd_stream.latents.formats.numpy_files import open_npy, open_npz
from taesd_stream.latents.formats.pickled_files import open_pickled
from taesd_stream.latents.formats.png_files import PNG_MAGIC, open_png
from taesd_stream.latents.formats.safetensors_files import open_safetensors
from taesd_stream.latents.formats.torch_files import open_torch_zip
from taesd_stream.latents.formats.zarr_folders import open_zarr
from taesd_stream.latents.formats.zip_archives import ARCHIVE_ERRORS
from taesd_stream.latents.joined_source import join
from taesd_stream.latents.raw_store import FileBytes
from taesd_stream.latents.read_options import ReadOptions
from video.large.zarr_arrays import is_zarr
from video.safe_files.numbering import NumberedFiles, is_pattern, natural_order
from video.safe_files.scratch import ScratchFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taesd_stream.latents.source import StoredSource

__all__ = ["SUFFIXES", "open_path"]

SUFFIXES: Final = frozenset(
    {".pt", ".pth", ".pkl", ".safetensors", ".latent", ".npy", ".npz", ".png", ".zarr"}
)
"""The suffixes by which a folder's latents are found; a .zarr is a folder itself."""

_PICKLES: Final = frozenset({".pkl", ".pickle"})
"""The suffixes of pickles, which begin with anything where they are of the first protocols."""

_GLOB: Final = re.compile(r"[*?\[]")
_REMEDY: Final = f"give latents as {', '.join(sorted(SUFFIXES))}"
_PIECE_BYTES: Final = 2**20

_FOREIGN: Final = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"RIFF", "a WebP picture or another RIFF file"),
    (4, b"ftyp", "an MP4 video"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"version https://git-lfs", "a git-lfs pointer, whose file is still to be fetched"),
    (257, b"ustar", "a tar archive"),
    (0, b"<", "a web page or XML"),
)


def open_path(path: str | os.PathLike[str], options: ReadOptions) -> StoredSource:
    """A source for what is at a path.

    That is a file; a Zarr folder, or one within a Zarr group, known by its metadata; a folder of
    latents; a numbered pattern, or one of the shell's such as ``z/**/*.pt``; a mosaic's pattern,
    with {row} and {column}; or ``-``: standard input.

    Raises:
        LatentsError: there is nothing that can be read as latents; the message says why.
        MissingExtraError: it is a Zarr folder and zarr is not installed.
    """
    text = os.fspath(path)
    if text == "-":
        return _open_file(_spooled_input(), options)
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


def _open_one(path: Path, options: ReadOptions) -> StoredSource:
    if is_zarr(path):
        return open_zarr(path, options)
    if not path.is_file() and path.exists():
        raise LatentsError(
            f"{path}: expected a file or a folder, found something else: "
            "redirect it to standard input and read -"
        )
    return _open_file(FileBytes.of(path, str(path)), options)


def _open_file(file_bytes: FileBytes, options: ReadOptions) -> StoredSource:
    name = file_bytes.name
    head = file_bytes.head(512)
    # First: a header's length may begin with the same bytes as another format.
    if head[4:8] == bytes(4) and head[8:9] == b"{":
        return open_safetensors(file_bytes, options)
    if head.startswith(b"PK"):
        return _open_zip(file_bytes, options)
    if head.startswith(b"\x93NUMPY"):
        return open_npy(file_bytes, options)
    if head.startswith(PNG_MAGIC):
        return open_png(file_bytes, options)
    for offset, magic, what in _FOREIGN:
        if head[offset:].startswith(magic):
            raise LatentsError(f"{name}: expected latents, found {what}: {_REMEDY}")
    if file_bytes.path.suffix.lower() in {".safetensors", ".latent"}:
        return open_safetensors(file_bytes, options)
    if head[:1] == b"\x80" or file_bytes.path.suffix.lower() in _PICKLES:
        return open_pickled(file_bytes, options)
    found = f"bytes that begin with {head[:8].hex(' ')}" if head else "an empty file"
    raise LatentsError(f"{name}: expected latents, found {found}: {_REMEDY}")


def _open_zip(file_bytes: FileBytes, options: ReadOptions) -> StoredSource:
    found = f"{file_bytes.name}: expected a torch or .npz archive, found a broken one"
    with refuse_broken(found, "copy or save it anew", *ARCHIVE_ERRORS):
        with file_bytes.open() as file, zipfile.ZipFile(file) as archive:
            members = archive.namelist()
        if any(member.rpartition("/")[2] == "data.pkl" for member in members):
            return open_torch_zip(file_bytes, options)
        if any(member.endswith(".npy") for member in members):
            return open_npz(file_bytes, options)
    raise LatentsError(
        f"{file_bytes.name}: expected a torch or .npz archive, found a zip file of "
        f"{', '.join(map(short, members[:3])) or 'nothing'}: {_REMEDY}"
    )


def _open_sequence(name: str, paths: Sequence[Path], options: ReadOptions) -> StoredSource:
    openers = [partial(_open_one, path) for path in paths]
    kind = f"{len(paths)} {paths[0].suffix.lower()} files"
    return join(openers, options, name=name, kind=kind)


def _files_of_folder(folder: Path) -> list[Path]:
    return _latents_among(folder.iterdir(), f"{folder}: expected a folder of latents of one kind")


def _files_of_glob(pattern: str) -> list[Path]:
    """The latents that fit a pattern which no shell has expanded, such as ``z/**/*.pt``."""
    found = map(Path, glob(pattern, recursive=True))
    return _latents_among(found, f"{pattern}: expected latents of one kind that fit the pattern")


def _latents_among(entries: Iterable[Path], expected: str) -> list[Path]:
    """The files of latents among others, in natural order; ``expected`` begins the error."""
    files = [
        entry
        for entry in entries
        if entry.suffix.lower() in SUFFIXES
        and not entry.name.startswith(".")
        and not entry.stem.endswith(".part")
        and (entry.is_file() or is_zarr(entry))
    ]
    kinds = sorted({entry.suffix.lower() for entry in files})
    if len(kinds) != 1:
        found = f"files of {len(kinds)} kinds ({', '.join(kinds)})" if kinds else "none"
        raise LatentsError(f"{expected}, found {found}: {_REMEDY}")
    return sorted(files, key=lambda file: [natural_order(Path(part)) for part in file.parts])


def _files_of_pattern(pattern: Path) -> list[Path]:
    """The files that fit, by number; a gap is an error, for it is a frame that is lost."""
    files = NumberedFiles.of(pattern)
    if not files.folder.is_dir():
        raise LatentsError(
            f"{pattern}: expected numbered files, found no folder {files.folder}: check the path"
        )
    numbers = [number for number, file in files.existing() if file == files.file(number)]
    if not numbers:
        raise LatentsError(
            f"{pattern}: expected files such as {files.file(0).name}, found none: check the pattern"
        )
    for expected, number in enumerate(numbers, start=numbers[0]):
        if number != expected:
            raise LatentsError(
                f"{pattern}: expected consecutive numbers, found {files.file(number).name} "
                f"and no {files.file(expected).name}: add it, or read the whole folder"
            )
    return [files.file(number) for number in numbers]


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
