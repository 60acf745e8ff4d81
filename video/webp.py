"""Animated WebP, one frame at a time, through Pillow.

FFmpeg's decoder skips animations, and OpenCV's reader holds all frames of one in memory. Pillow's
holds the bytes of the file and the canvas.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import DecompressionBombError
from PIL.WebPImagePlugin import WebPImageFile

from video.errors import InputError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["WebpAnimation", "is_animated_webp", "open_webp"]

_MOST_PIXELS = 1 << 28  # those of the largest frame, 16384x16384


@dataclass(frozen=True, slots=True)
class WebpAnimation:
    """An animation's canvas in pixels, and the milliseconds that each frame stays."""

    path: Path
    width: int
    height: int
    durations_ms: tuple[int, ...]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Each frame as uint8 (height, width, 3), or 4 where the animation has transparency."""
        with _opened(self.path) as image:
            for index in range(image.n_frames):
                image.seek(index)
                yield np.array(image)


def is_animated_webp(path: Path) -> bool:
    """Whether this is a file, of WebP, and has several frames, or one that stays for a time."""
    if not _is_webp(path):
        return False
    with _opened(path) as image:
        return image.n_frames > 1 or _duration_ms(image, 0) > 0


def open_webp(path: Path) -> WebpAnimation | None:
    """Go through an animation once for its frames' times; None for a still, or no WebP file.

    Raises:
        InputError: if the file is cut short or inconsistent, or its canvas is too large.
    """
    if not is_animated_webp(path):
        return None
    with _opened(path) as image:
        durations_ms = tuple(_duration_ms(image, index) for index in range(image.n_frames))
        return WebpAnimation(path, image.width, image.height, durations_ms)


def _is_webp(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[WebPImageFile]:
    try:
        # Not through Image.open, which warns of large pictures besides refusing larger ones.
        with path.open("rb") as file, WebPImageFile(file) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DecompressionBombError(f"{image.width}x{image.height} pixels")
            yield image
    except DecompressionBombError as error:
        raise InputError(f"'{path}' claims too large a canvas: {first_line(error)}") from error
    except (OSError, SyntaxError, EOFError, ValueError, MemoryError) as error:
        raise InputError(
            f"'{path}' is no complete WebP ({first_line(error)}); is it damaged?"
        ) from error


def _duration_ms(image: WebPImageFile, index: int) -> int:
    image.seek(index)
    image.load()
    return int(image.info["duration"])
