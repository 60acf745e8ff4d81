"""Animated WebP, one frame at a time.

FFmpeg's decoder skips animations, and OpenCV's reader holds all of one in memory. The container is
simple: each frame is a still of its own, with a place, a duration and a way of being laid down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from video.errors import InputError
from video.images import decode_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["WebpAnimation", "is_webp", "open_webp"]

_MAX_CHUNK = 1 << 30
_FRAME_HEADER = 16


@dataclass(frozen=True, slots=True)
class WebpAnimation:
    """An animation's canvas in pixels, and the milliseconds that each frame stays."""

    path: Path
    width: int
    height: int
    durations_ms: tuple[int, ...]

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Each frame as uint8 (height, width, 3), laid over black where it is transparent."""
        canvas = np.zeros((self.height, self.width, 4), np.uint8)
        disposal: tuple[slice, slice] | None = None
        with self.path.open("rb") as file:
            for kind, size in _chunks(file):
                if kind != b"ANMF":
                    continue
                if disposal is not None:
                    canvas[disposal] = 0
                disposal = self._lay_down(canvas, file.read(size))
                yield _over_black(canvas)

    def _lay_down(self, canvas: NDArray[np.uint8], chunk: bytes) -> tuple[slice, slice] | None:
        """Draw one frame on ``canvas``; returns the area to clear before the next one, if any."""
        if len(chunk) < _FRAME_HEADER:
            raise _broken(self.path)
        x, y = 2 * _number(chunk, 0), 2 * _number(chunk, 3)
        width, height = 1 + _number(chunk, 6), 1 + _number(chunk, 9)
        flags = chunk[15]
        if x + width > self.width or y + height > self.height:
            raise _broken(self.path)
        image = decode_image(_still(chunk[_FRAME_HEADER:], width, height), self.path)
        if image.shape[:2] != (height, width):
            raise _broken(self.path)
        area = slice(y, y + height), slice(x, x + width)
        replaces = bool(flags & 2) or image.shape[2] == 3
        canvas[area] = _opaque(image) if replaces else _blend(canvas[area], image)
        return area if flags & 1 else None


def is_webp(path: Path) -> bool:
    """Whether the file begins as WebP does."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def open_webp(path: Path) -> WebpAnimation | None:
    """Read an animation's outline, without decoding; None for a still.

    Raises:
        InputError: if the file is cut short or inconsistent.
    """
    canvas: tuple[int, int] | None = None
    durations: list[int] = []
    with path.open("rb") as file:
        for kind, size in _chunks(file):
            if kind == b"VP8X":
                header = file.read(10)
                canvas = 1 + _number(header, 4), 1 + _number(header, 7)
            elif kind == b"ANMF":
                header = file.read(_FRAME_HEADER)
                if size < _FRAME_HEADER or len(header) < _FRAME_HEADER:
                    raise _broken(path)
                durations.append(_number(header, 12))
    if not durations:
        return None
    if canvas is None:
        raise _broken(path)
    if canvas[0] * canvas[1] > _MAX_CHUNK:
        raise InputError(f"'{path}' claims a canvas of {canvas[0]}x{canvas[1]} pixels")
    return WebpAnimation(path, *canvas, tuple(durations))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and size of each chunk, with the file placed at its content."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        content = file.tell()
        if size > _MAX_CHUNK:
            raise InputError(f"'{file.name}' holds a chunk of {size} bytes; is it damaged?")
        yield head[:4], size
        file.seek(content + size + size % 2)


def _number(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 3], "little")


def _still(content: bytes, width: int, height: int) -> bytes:
    """A WebP file of its own out of one frame's content."""
    body = content
    if content.startswith(b"ALPH"):
        alpha_flag = b"\x10\0\0\0"
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"VP8X" + (10).to_bytes(4, "little") + alpha_flag + sides + content
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _opaque(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.shape[2] == 4:
        return image
    return np.dstack((image, np.full(image.shape[:2], 255, np.uint8)))


def _blend(under: NDArray[np.uint8], over: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``over`` on ``under``, both RGBA and not premultiplied."""
    alpha = over[..., 3:].astype(np.float32) / 255
    below = under[..., 3:].astype(np.float32) / 255 * (1 - alpha)
    total = alpha + below
    color = over[..., :3] * alpha + under[..., :3] * below
    color = np.divide(color, total, out=np.zeros_like(color), where=total > 0)
    blended: NDArray[np.uint8] = np.rint(np.dstack((color, total * 255))).astype(np.uint8)
    return blended


def _over_black(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = canvas[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return canvas[..., :3].copy()
    return ((canvas[..., :3] * alpha + 127) // 255).astype(np.uint8)


def _broken(path: Path) -> InputError:
    return InputError(f"'{path}' is no complete animated WebP; is it damaged?")
