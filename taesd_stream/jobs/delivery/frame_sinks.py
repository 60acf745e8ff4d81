"""Where frames go: a video, pictures, or an array."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from taesd_stream.errors import InputError
from taesd_stream.latents.writing.array_file import ARRAY_SUFFIXES
from taesd_stream.latents.writing.stack_writer import StackWriter
from video import CONTAINERS, open_writer
from video.large import ROW_SUFFIXES, RowWriter, check_rows, open_rows
from video.large.formats import choose_compression, choose_format
from video.safe_files.part_file import check_output
from video.sink import Sink

__all__ = [
    "STANDARD_OUTPUT",
    "Frame",
    "Sink",
    "VideoKeywords",
    "check_count",
    "check_name",
    "is_large_format",
    "open_sink",
    "refuse",
]

Frame = npt.NDArray[np.uint8]

STANDARD_OUTPUT = "-"
_STILLS = (".png", ".jpg", ".jpeg")
_SUFFIXES = frozenset((*CONTAINERS, *ARRAY_SUFFIXES, *_STILLS))
_LARGE = tuple(suffix for suffix in ROW_SUFFIXES if suffix not in _SUFFIXES)
# JPEG and GIF count sides in 16 bits, and WebP in 14.
_LARGEST = {".jpg": 65535, ".jpeg": 65535, ".gif": 65535, ".webp": 16383}


class VideoKeywords(TypedDict):
    """What a video, or another file of frames, is to be; each takes some of it."""

    rate: Fraction
    codec: str | None
    crf: int | None
    lossless: bool
    audio: str | os.PathLike[str] | None
    compression: str | None
    quality: int | None
    overwrite: bool


class _ImageStack(StackWriter):
    """Frames as one array of bytes: (T, H, W, 3) in .npy, (T, 3, H, W) in .safetensors."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool) -> None:
        super().__init__(path, key="images", overwrite=overwrite)
        self._planar = self.path.suffix.lower() == ".safetensors"

    def write(self, frame: Frame | Tensor) -> None:
        """Append a frame, (H, W, 3) bytes."""
        pixels = torch.as_tensor(frame)
        super().write(rearrange(pixels, "h w c -> c h w") if self._planar else pixels)


class _OnePicture:
    """One frame into a file for pictures of any size."""

    def __init__(self, writer: RowWriter) -> None:
        self._writer = writer
        self.frames_written = 0
        self.kept_part: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know."""
        return self._writer.notes

    def write(self, frame: Frame) -> None:
        """Write the frame, (H, W, 3) bytes; it is the only one."""
        self._writer.write(frame)
        self.frames_written += 1

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, error, traceback)
        self.kept_part = self._writer.kept_part


def open_sink(
    out: str | os.PathLike[str], *, width: int, height: int, **video: Unpack[VideoKeywords]
) -> Sink:
    """A writer for frames of one size, by the suffix of ``out``; for use as a context manager.

    Raises:
        InputError: The options do not fit the kind of file.
        InputError: The same, found by `video`.
    """
    suffix = Path(out).suffix.lower()
    for_pictures = {"compression": video["compression"], "quality": video["quality"]}
    for_videos = {"codec": video["codec"], "crf": video["crf"], "audio": video["audio"]}
    if is_large_format(out):
        refuse(suffix, "is a picture", **for_videos)
        return _OnePicture(
            open_rows(
                out,
                width=width,
                height=height,
                compression=video["compression"],
                quality=video["quality"],
                overwrite=video["overwrite"],
            )
        )
    if suffix in ROW_SUFFIXES:  # .png and .npy: a picture too large for memory is written by rows
        refuse(suffix, "has none to choose", quality=video["quality"])
        choose_compression(choose_format(Path(out)), video["compression"])
    else:
        refuse(suffix, "has none to choose", **for_pictures)
    if suffix in ARRAY_SUFFIXES:
        refuse(suffix, "holds plain bytes", **for_videos)
        return _ImageStack(out, overwrite=video["overwrite"])
    check_size(out, width, height)
    return open_writer(
        out,
        width=width,
        height=height,
        rate=video["rate"],
        codec=video["codec"],
        crf=video["crf"],
        lossless=video["lossless"],
        audio=video["audio"],
        overwrite=video["overwrite"],
    )


def refuse(suffix: str, because: str, **options: object) -> None:
    """Refuse options that a kind of file has no use for, where they are given.

    Raises:
        InputError: That.
    """
    for name, value in options.items():
        if value is not None:
            raise InputError(
                f"{name}: expected none for {suffix}, which {because}, found {str(value)!r}; leave"
                " it out, or write another kind of file"
            )


def is_large_format(out: str | os.PathLike[str]) -> bool:
    """Whether a name is one for pictures of any size, and for nothing else."""
    return os.fspath(out).lower().endswith(_LARGE)


def check_size(out: str | os.PathLike[str], width: int, height: int) -> None:
    """Refuse pictures that a format cannot hold.

    Raises:
        InputError: It says which formats can.
    """
    suffix = Path(out).suffix.lower()
    most = _LARGEST.get(suffix)
    if most is not None and max(width, height) > most:
        raise InputError(
            f"output: {suffix} holds pictures of up to {most} pixels a side, found"
            f" {width}x{height}; write {' '.join(_LARGE)} or .png, or give --crop"
        )


def check_name(
    out: str | os.PathLike[str],
    *,
    overwrite: bool,
    compression: str | None = None,
    quality: int | None = None,
) -> None:
    """Refuse an output that cannot be, before anything is loaded.

    Raises:
        InputError: The name tells no kind of file, the file exists, its folder does not, or a
            picture of its kind is not compressed in that way.
    """
    name = os.fspath(out)
    if name == STANDARD_OUTPUT:
        _check_standard_output()
        return
    if is_large_format(name):
        check_rows(
            name,
            width=1,
            height=1,
            compression=compression,
            quality=quality,
            overwrite=overwrite,
        )
        return
    suffix = Path(name).suffix.lower()
    if not name or (suffix not in _SUFFIXES and suffix and not os.path.isdir(name)):
        raise InputError(
            f"output: expected a name ending in one of {' '.join(sorted((*_SUFFIXES, *_LARGE)))}, a"
            f" folder, or - for standard output; found {name!r}"
        )
    if suffix in _SUFFIXES and not _is_for_several(name):
        check_output(name, overwrite=overwrite)


def check_count(out: str | os.PathLike[str], frames: int | None) -> None:
    """Refuse the name of one picture for several.

    Raises:
        InputError: That.
    """
    name = os.fspath(out)
    path = Path(name)
    if frames in (None, 1):
        return
    if is_large_format(name):
        raise InputError(
            f"output: {out} is one picture, and there are {frames} frames; give --frames N for one"
        )
    if path.suffix.lower() in _STILLS and not _is_for_several(name):
        raise InputError(
            f"output: {out} is one picture, and there are {frames} frames; write"
            f" {path.stem}_%05d{path.suffix} or a folder, or give --frames N for one"
        )


def _is_for_several(name: str) -> bool:
    return "%" in Path(name).name or os.path.isdir(name)


def _check_standard_output() -> None:
    if sys.stdout is None or sys.stdout.isatty():
        found = "it is closed" if sys.stdout is None else "a terminal, which shows no video"
        raise InputError(
            f"output: expected standard output to go to a file or another program, found {found};"
            " write > out.mkv or | ffplay - after the command"
        )
