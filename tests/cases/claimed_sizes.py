"""Files whose headers claim sizes that they cannot have, and what reading them takes.

``python -m tests.cases.claimed_sizes FOLDER`` reads each in turn, in a process of its own because
of the peak of its memory, and prints a line of JSON for each.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.cases.damages import with_png_sums
from tests.cases.fuzzed_media import (
    HEIGHT,
    LARGE,
    STILLS,
    VIDEOS,
    WIDTH,
    Write,
    coded_grey,
    read_regions,
    watch,
)
from video import InputError

__all__ = ["Outcome"]

Stored = Callable[[int, int], bytes]
"""The bytes of a width and a height, as a file has them."""


@dataclass(frozen=True)
class Outcome:
    """What came of reading a file: the error, and what it took; empty if it was read."""

    claim: str
    error: str
    seconds: float
    grown_bytes: int


def _packed(layout: str, width: int, height: int) -> bytes:
    return struct.pack(layout, width, height)


def _height_first(width: int, height: int) -> bytes:
    return struct.pack(">HH", height, width)


def _vp8l(width: int, height: int) -> bytes:
    """Behind the signature, in 14 bits each; two bits of the last byte are another thing's."""
    return b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)[:3]


def _vp8x(width: int, height: int) -> bytes:
    return (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def _tiff(width: int, height: int) -> bytes:
    """Two entries of a directory, of longs."""
    return struct.pack("<2HI", 256, 4, 1) + struct.pack("<I2HII", width, 257, 4, 1, height)


def _ispe(width: int, height: int) -> bytes:
    return b"ispe\0\0\0\0" + struct.pack(">II", width, height)


def _heic(width: int, height: int) -> bytes:
    """What is coded is whole blocks, of which a box crops the picture."""
    return _ispe(*((64, 64) if (width, height) == (WIDTH, HEIGHT) else (width, height)))


def _tkhd(width: int, height: int) -> bytes:
    """In 16.16, at the end of the header of a track."""
    return struct.pack(">II", width << 16, height << 16)


def _mkv(width: int, height: int) -> bytes:
    """In elements of two bytes, so that there is room for a claim."""
    width, height = WIDE if (width, height) == (WIDTH, HEIGHT) else (width, height)
    return b"\xb0\x82" + struct.pack(">H", width) + b"\xba\x82" + struct.pack(">H", height)


def _y4m(width: int, height: int) -> bytes:
    return b"W%d H%d" % (width, height)


_SHORT, _LONG = partial(_packed, "<HH"), partial(_packed, "<II")
_BIG_SHORT, _BIG_LONG = partial(_packed, ">HH"), partial(_packed, ">II")
_MOST: Final = 0xFFFFFFFF
_PADDING: Final = 1 << 14
WIDE: Final = (320, 256)
_WIDE_KINDS: Final[dict[str, tuple[str, Write]]] = {
    "wide mkv": (".mkv", coded_grey("libx264", *WIDE)),
    "wide webm": (".webm", coded_grey("libvpx-vp9", *WIDE)),
}

CLAIMS: Final[tuple[tuple[str, Stored, tuple[int, int]], ...]] = (
    *(("png", _BIG_LONG, (side, side)) for side in (_MOST, 100_000)),
    ("png", _BIG_LONG, (100_000, 90)),
    ("png", _BIG_LONG, (1 << 31, 8)),
    ("jpeg", _height_first, (65500, 65500)),
    ("webp", _SHORT, (16383, 16383)),
    ("webp lossless", _vp8l, (16383, 512)),
    ("webp animated", _vp8x, (65536, 65535)),
    ("webp animated", _vp8x, (16384, 16384)),
    *(("gif", _SHORT, (side, side)) for side in (65535, 16_000)),
    ("gif animated", _SHORT, (10_000, 10_000)),
    *(("tiff", _tiff, (side, side)) for side in (_MOST, 100_000, 30_000)),
    *(("bmp", _LONG, (side, side)) for side in (0x7FFFFFFF, 100_000, 10_000)),
    *(("avif", _ispe, (side, side)) for side in (_MOST, 100_000, 16_384)),
    *(("avif", _ispe, (side, side)) for side in (13_000, 4000)),
    ("avif", _ispe, (4000, 200)),
    *(("avif animated", _tkhd, (side, side)) for side in (16_384, 4000)),
    *(("heic", _heic, (side, side)) for side in (_MOST, 100_000, 16_384)),
    *(("y4m", _y4m, (side, side)) for side in (_MOST, 100_000, 16_000)),
    *(("mov prores", _BIG_SHORT, (side, side)) for side in (65535, 16_000)),
    ("ivf", _SHORT, (16383, 16383)),
    ("webm vp8", _SHORT, (16383, 16383)),
    *(("avi mjpeg", _height_first, (side, side)) for side in (65500, 16_000)),
    *(("large tiff", _tiff, (side, side)) for side in (_MOST, 100_000)),
    *(("large tiff in tiles", _tiff, (side, side)) for side in (_MOST, 100_000)),
)
"""A kind, how its files have their size, and what they claim in place of theirs."""

OVERRULED: Final[tuple[tuple[str, Stored, tuple[int, int]], ...]] = (
    *((f"mp4 {codec}", _BIG_SHORT, (16_384, 16_384)) for codec in ("h264", "hevc", "av1")),
    *((f"mp4 {codec}", _tkhd, (16_384, 16_384)) for codec in ("h264", "hevc", "av1")),
    *((kind, _mkv, (16_384, 16_384)) for kind in _WIDE_KINDS),
)
"""Claims of containers alone: what is coded says its size itself, and is read."""


def _outcome(folder: Path, kind: str, stored: Stored, size: tuple[int, int]) -> Outcome:
    suffix, write = (STILLS | VIDEOS | LARGE | _WIDE_KINDS)[kind]
    read = read_regions if kind in LARGE else watch
    path = folder / f"a{suffix}"
    write(path)
    read(path)
    data = path.read_bytes()
    true = stored(WIDTH, HEIGHT)
    assert true in data, kind
    claiming = data.replace(true, stored(*size))
    if suffix in (".avif", ".heic"):  # few enough pixels for so many bytes
        claiming += struct.pack(">I", _PADDING) + b"free" + bytes(_PADDING - 8)
    path.write_bytes(with_png_sums(claiming) if kind == "png" else claiming)
    peak, start, error = _peak_bytes(), time.perf_counter(), ""
    try:
        read(path)
    except InputError as refused:
        error = str(refused).replace(str(folder), "")
    seconds, grown = time.perf_counter() - start, _peak_bytes() - peak
    return Outcome(f"{kind} of {size[0]}x{size[1]}", error, seconds, grown)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    for claims in (CLAIMS, OVERRULED):
        for claim in claims:
            outcome = asdict(_outcome(Path(sys.argv[1]), *claim))
            print(json.dumps(outcome | {"is_overruled": claims is OVERRULED}), flush=True)
