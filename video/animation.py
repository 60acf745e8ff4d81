"""Animated WebP and AVIF, one frame at a time, through Pillow; and which stills are animations.

FFmpeg's decoder skips animations of WebP and the transparency of AVIF's, and OpenCV's reader holds
all frames of one in memory. Pillow's holds the bytes of the file and the canvas. It blends those of
animated PNG wrongly where they are half transparent: FFmpeg reads these.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL.AvifImagePlugin import AvifImageFile
from PIL.Image import DecompressionBombError
from PIL.WebPImagePlugin import WebPImageFile

from video.avif_size import check_size
from video.errors import InputError, first_line
from video.file_kinds import ANIMATED_AVIF, kind_of_file
from video.heif import heif_kind_of
from video.named_colors import still_profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Animation", "frames_in", "is_animation", "open_animation"]

_PNG_SIGNATURE_BYTES = 8

_PillowKind = Literal["AVIF", "WEBP"]


@dataclass(frozen=True, slots=True)
class Animation:
    """An animation's canvas in pixels, and the milliseconds that each frame stays."""

    path: Path
    kind: _PillowKind
    width: int
    height: int
    durations_ms: tuple[int, ...]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Each frame as uint8 (height, width, 3), or 4 where the animation has transparency."""
        with _opened(self.path, self.kind) as image:
            profile = still_profile(self.path.read_bytes(), image.info.get("icc_profile"))
            for index in range(image.n_frames):
                image.seek(index)
                pixels = np.array(image)
                yield pixels if profile is None else profile.applied(pixels)


def is_animation(path: Path) -> bool:
    """Whether this is a file of WebP, AVIF or PNG that has several frames, or one for a time."""
    kind = _kind(path)
    if kind == "PNG":
        return _frames_in_png(path) > 1
    if kind is None:
        return False
    with _opened(path, kind) as image:
        return _is_animated(image, kind)


def frames_in(path: Path) -> int:
    """How many frames a file of WebP, AVIF or PNG says that it has; 1 for another file.

    Raises:
        InputError: it is damaged.
    """
    kind = _kind(path)
    if kind == "PNG":
        return _frames_in_png(path)
    if kind is None:
        return 1
    with _opened(path, kind) as image:
        return int(image.n_frames)


def open_animation(path: Path) -> Animation | None:
    """Go through an animation once for its frames' times; None for a still, and what FFmpeg reads.

    Raises:
        InputError: if the file is cut short or inconsistent, or its canvas is too large.
    """
    kind = _kind(path)
    if kind is None or kind == "PNG":
        return None
    with _opened(path, kind) as image:
        if not _is_animated(image, kind):
            return None
        durations_ms = tuple(_duration_ms(image, index) for index in range(image.n_frames))
        return Animation(path, kind, image.width, image.height, durations_ms)


def _is_animated(image: AvifImageFile | WebPImageFile, kind: _PillowKind) -> bool:
    return image.n_frames > 1 or (kind == "WEBP" and _duration_ms(image, 0) > 0)


def _kind(path: Path) -> _PillowKind | Literal["PNG"] | None:
    if not path.is_file():
        return None
    kind = kind_of_file(path)
    if kind is None:
        return None
    if kind.pillow == "PNG":
        return "PNG"
    if kind.pillow == "WEBP":
        return "WEBP"
    return "AVIF" if kind == ANIMATED_AVIF or heif_kind_of(path) == "AVIF" else None


def _frames_in_png(path: Path) -> int:
    """How many frames a PNG announces before its picture."""
    with path.open("rb") as file:
        place = _PNG_SIGNATURE_BYTES
        file.seek(place)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            if head[4:] == b"acTL":
                return int.from_bytes(file.read(4), "big")
            place += 12 + int.from_bytes(head[:4], "big")
            file.seek(place)
            if not head[4:].isalpha():
                break
    return 1


@contextlib.contextmanager
def _opened(path: Path, kind: _PillowKind) -> Iterator[AvifImageFile | WebPImageFile]:
    reader, name = (WebPImageFile, "WebP") if kind == "WEBP" else (AvifImageFile, kind)
    try:
        # Not through Image.open, which warns of large pictures besides refusing larger ones.
        data = path.read_bytes()
        with reader(BytesIO(data)) as image:
            check_size(image.size, kind, data, path)
            yield image
    except InputError:
        raise
    except DecompressionBombError as error:
        raise InputError(f"'{path}' claims too large a canvas: {first_line(error)}") from error
    except (OSError, SyntaxError, EOFError, ValueError, RuntimeError, MemoryError) as error:
        raise InputError(
            f"'{path}' is no complete {name} ({first_line(error)}); is it damaged?"
        ) from error


def _duration_ms(image: AvifImageFile | WebPImageFile, index: int) -> int:
    image.seek(index)
    image.load()
    return int(image.info["duration"])
