"""Sources of files, told by their bytes, whatever the name says; and which files go together."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.array_choice import short
from taesd_stream.latents.checks import refuse_broken
from taesd_stream.latents.formats.numpy_files import open_npy, open_npz
from taesd_stream.latents.formats.pickled_files import open_pickled
from taesd_stream.latents.formats.png_files import PNG_MAGIC, open_png
from taesd_stream.latents.formats.safetensors_files import open_safetensors
from taesd_stream.latents.formats.torch_files import open_torch_zip
from taesd_stream.latents.formats.zip_archives import ARCHIVE_ERRORS
from taesd_stream.latents.joined_source import join
from taesd_stream.latents.read_options import ReadOptions
from video.safe_files.numbering import NumberedFiles, natural_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from taesd_stream.latents.raw_store import StoredBytes
    from taesd_stream.latents.source import StoredSource

__all__ = ["SUFFIXES", "consecutive", "latents_among", "open_file", "open_sequence"]

SUFFIXES: Final = frozenset(
    {".pt", ".pth", ".pkl", ".safetensors", ".latent", ".npy", ".npz", ".png", ".zarr"}
)
"""The suffixes by which a folder's latents are found; a .zarr is a folder itself."""

_PICKLES: Final = frozenset({".pkl", ".pickle"})
"""The suffixes of pickles, which begin with anything where they are of the first protocols."""

REMEDY: Final = f"give latents as {', '.join(sorted(SUFFIXES))}"

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


def open_file(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
    """A source for a file, told by its bytes.

    Raises:
        LatentsError: it cannot be read as latents; the message says why.
    """
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
            raise LatentsError(f"{name}: expected latents, found {what}: {REMEDY}")
    if file_bytes.suffix in {".safetensors", ".latent"}:
        return open_safetensors(file_bytes, options)
    if head[:1] == b"\x80" or file_bytes.suffix in _PICKLES:
        return open_pickled(file_bytes, options)
    found = f"bytes that begin with {head[:8].hex(' ')}" if head else "an empty file"
    raise LatentsError(f"{name}: expected latents, found {found}: {REMEDY}")


def _open_zip(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
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
        f"{', '.join(map(short, members[:3])) or 'nothing'}: {REMEDY}"
    )


def open_sequence(
    name: str, openers: Mapping[Path, Callable[[ReadOptions], StoredSource]], options: ReadOptions
) -> StoredSource:
    """A source for files that follow each other in time; ``openers`` opens each."""
    kind = f"{len(openers)} {next(iter(openers)).suffix.lower()} files"
    return join(list(openers.values()), options, name=name, kind=kind)


def latents_among(
    entries: Iterable[Path], expected: str, is_there: Callable[[Path], bool]
) -> list[Path]:
    """The files of latents among others, in natural order.

    Args:
        expected: What the error begins with.
        is_there: Whether an entry is a file, or a Zarr folder.

    Raises:
        LatentsError: there are none, or of several kinds.
    """
    files = [
        entry
        for entry in entries
        if entry.suffix.lower() in SUFFIXES
        and not entry.name.startswith(".")
        and not entry.stem.endswith(".part")
        and is_there(entry)
    ]
    kinds = sorted({entry.suffix.lower() for entry in files})
    if len(kinds) != 1:
        found = f"files of {len(kinds)} kinds ({', '.join(kinds)})" if kinds else "none"
        raise LatentsError(f"{expected}, found {found}: {REMEDY}")
    return sorted(files, key=lambda file: [natural_order(Path(part)) for part in file.parts])


def consecutive(files: NumberedFiles, names: Iterable[str], pattern: str) -> list[Path]:
    """The files that fit a pattern, by number; a gap is an error, for it is a frame that is lost.

    Args:
        names: Of what is in their folder.
        pattern: As it was given.

    Raises:
        LatentsError: none fits, or one is missing.
    """
    fitting = files.numbers_in(names)
    numbers = [number for number, name in fitting if name == files.file(number).name]
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
