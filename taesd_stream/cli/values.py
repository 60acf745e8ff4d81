"""Values that arguments spell in their own way."""

from __future__ import annotations

import argparse
import re
from typing import Literal

from video.errors import InputError
from video.rates import parse_rate

__all__ = ["crop", "fps", "frames", "overlap", "size", "tile", "width_and_height"]


def frames(text: str) -> slice:
    """A:B, A:, :B, or one number.

    >>> frames("10:20"), frames("5")
    (slice(10, 20, None), slice(5, 6, None))
    """
    match = re.fullmatch(r"(\d+)?(:)?(\d+)?", text)
    if match is None or text in ("", ":") or (match[3] and not match[2]):
        raise argparse.ArgumentTypeError(f"expected A:B, A:, :B or a number, found {text!r}")
    start = int(match[1] or 0)
    if not match[2]:
        return slice(start, start + 1)
    stop = int(match[3]) if match[3] else None
    if stop is not None and stop <= start:
        raise argparse.ArgumentTypeError(f"expected A:B with A below B, found {text!r}")
    return slice(start, stop)


def crop(text: str) -> tuple[int, int, int, int]:
    """X,Y,W,H in pixels.

    >>> crop("100,200,512,256")
    (100, 200, 512, 256)
    """
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text.replace(" ", ""))
    if match is None:
        raise argparse.ArgumentTypeError(
            f"expected X,Y,W,H (left, top, width, height) in pixels, found {text!r}"
        )
    x, y, width, height = map(int, match.groups())
    return x, y, width, height


def tile(text: str) -> int | tuple[int, int] | Literal["auto"] | None:
    """N, WIDTHxHEIGHT, none, or auto, as the library takes it: N, (height, width), None, "auto".

    >>> tile("64"), tile("32x48"), tile("none")
    (64, (48, 32), None)
    """
    if text == "auto":
        return "auto"
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None or "0" in (match[1], match[2]):
        raise argparse.ArgumentTypeError(f"expected N, WIDTHxHEIGHT, none or auto, found {text!r}")
    return (int(match[2]), int(match[1])) if match[2] else int(match[1])


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT in pixels, as the library takes it: (height, width).

    >>> size("1280x720")
    (720, 1280)
    """
    match = re.fullmatch(r"0*([1-9]\d*)x0*([1-9]\d*)", text.lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in pixels, found {text!r}")
    return int(match[2]), int(match[1])


def width_and_height(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT in pixels, as the library takes it where it asks for (width, height).

    >>> width_and_height("1280x720")
    (1280, 720)
    """
    height, width = size(text)
    return width, height


def overlap(text: str) -> int | Literal["exact"]:
    """N, or exact.

    >>> overlap("8")
    8
    """
    if text == "exact":
        return "exact"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected exact, or latents from 0 up, found {text!r}")
    return int(text)


def fps(text: str) -> str:
    """A rate that `video` understands, as it was written.

    >>> fps("24000/1001")
    '24000/1001'
    """
    try:
        parse_rate(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
