"""The readers and writers of frames, chosen by the kind of file: a video, pictures or a still."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from video.codecs import CONTAINERS
from video.errors import InputError
from video.file_kinds import kind_of_file, refuse_unread
from video.image_names import READABLE_SUFFIXES
from video.options import VideoOptions
from video.rates import parse_rate
from video.transparency import OVER_WHITE, Transparency

if TYPE_CHECKING:
    from fractions import Fraction
    from os import PathLike

    from video.frame_reader import FrameReader
    from video.sequence import ImageSequenceWriter
    from video.video_writer import VideoWriter

__all__ = ["open_reader", "open_writer", "open_writer_with"]


def open_writer(
    path: str | PathLike[str] | BinaryIO,
    *,
    width: int,
    height: int,
    rate: str | int | float | Fraction = 24,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    audio: str | PathLike[str] | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    alpha: bool = False,
) -> VideoWriter | ImageSequenceWriter:
    """Open what ``path`` asks for: a video by its suffix, numbered pictures, or a still.

    ``.webp`` is an animation, unless its name holds ``%d``. Keywords as for ``VideoWriter``.

    Raises:
        InputError: also for a codec, a crf or audio with pictures, which have none.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open_writer(f"{folder}/frames", width=4, height=2) as writer:
        ...         writer.write(np.zeros((2, 4, 3), np.uint8))
        ...     [file.name for file in writer.path.iterdir()]
        ['00000.png']
    """
    options = VideoOptions(
        parse_rate(rate), codec, crf, lossless, audio, overwrite, threads, alpha=alpha
    )
    return open_writer_with(path, width=width, height=height, options=options)


def open_writer_with(
    path: str | PathLike[str] | BinaryIO, *, width: int, height: int, options: VideoOptions
) -> VideoWriter | ImageSequenceWriter:
    """Open what ``path`` asks for, as ``open_writer`` does, with options at hand already."""
    if not isinstance(path, str | os.PathLike) or _is_video(path):
        from video.video_writer import VideoWriter

        return VideoWriter.with_options(path, width=width, height=height, options=options)
    from video.sequence import ImageSequenceWriter

    for name in ("codec", "crf", "audio"):
        value = getattr(options, name)
        if value is not None:
            raise InputError(
                f"pictures have no {name}; found {name} {str(value)!r} for '{os.fspath(path)}':"
                " leave it out, or write a video"
            )
    return ImageSequenceWriter(
        path, width=width, height=height, overwrite=options.overwrite, lossless=options.lossless
    )


def _is_video(path: str | PathLike[str]) -> bool:
    if os.fspath(path) == "-":
        return True
    target = Path(path)
    suffix = target.suffix.lower()
    is_pattern = suffix == ".webp" and "%" in target.name
    return suffix in CONTAINERS and not target.is_dir() and not is_pattern


def open_reader(
    path: str | PathLike[str],
    *,
    rate: str | int | float | Fraction = 24,
    transparency: Transparency = OVER_WHITE,
) -> FrameReader:
    """Open a video, a still, a folder of pictures, a pattern or an array of bytes, as frames.

    ``rate`` is for pictures and arrays; a video has its own. ``transparency`` says what becomes of
    what has alpha: it is laid over white, or another colour, or kept.

    Raises:
        InputError: if there is nothing to read.
    """
    from video.array_reader import ARRAY_SUFFIXES, ArrayReader
    from video.sequence import ImageSequenceReader

    source = Path(path)
    is_pattern = "%" in source.name and not source.is_file()
    if source.is_dir() or is_pattern:
        return ImageSequenceReader(source, rate, transparency)
    if source.suffix.lower() in ARRAY_SUFFIXES:
        return ArrayReader(source, rate, transparency)
    if _is_still(source):
        return ImageSequenceReader(source, rate, transparency)
    from video.video_reader import VideoReader

    return VideoReader(source, transparency)


def _is_still(source: Path) -> bool:
    """Whether a file is one picture: by what it holds, or by its name where that tells nothing."""
    from video.animation import is_animation
    from video.heif import heif_kind_of

    if not source.is_file():
        return source.suffix.lower() in READABLE_SUFFIXES
    kind = kind_of_file(source)
    refuse_unread(kind, source)
    if kind is None:
        return source.suffix.lower() in READABLE_SUFFIXES
    is_still = kind.pillow is not None or heif_kind_of(source) is not None
    return is_still and not is_animation(source)
