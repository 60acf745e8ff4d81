"""Frames that tell their own number, and programs that show them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import numpy.typing as npt

import taesd_stream as ts

__all__ = ["assert_colours", "number_in", "numbered", "showing"]

_SIDE, _BAR, _BITS = 256, 16, 16
_COLOURS = (
    *((200, 30, 60), (20, 180, 90), (40, 60, 220), (128, 128, 128)),
    *((250, 240, 30), (5, 5, 5), (245, 250, 250)),
)
_MOST_LEVELS = 4
_SECONDS = 1 / 24


def numbered(number: int) -> npt.NDArray[np.uint8]:
    """(256, 256, 3): four patches whose colours take turns, over the number in black and white."""
    frame = np.empty((_SIDE, _SIDE, 3), np.uint8)
    half = _SIDE // 2
    for place in range(4):
        row, column = divmod(place, 2)
        patch = frame[row * half : (row + 1) * half, column * half : (column + 1) * half]
        patch[:] = _COLOURS[(number + place) % len(_COLOURS)]
    for bit in range(_BITS):
        columns = slice(bit * _SIDE // _BITS, (bit + 1) * _SIDE // _BITS)
        frame[-_BAR:, columns] = 255 * (number >> bit & 1)
    return frame


def number_in(picture: npt.NDArray[np.uint8]) -> int:
    """The number that a frame tells."""
    bits = picture[-_BAR // 2, _SIDE // _BITS // 2 :: _SIDE // _BITS, 1] > 127
    return int(sum(int(bit) << place for place, bit in enumerate(bits)))


def assert_colours(picture: npt.NDArray[np.uint8], number: int) -> None:
    """The patches are those of a frame, but for what two lossy codecs leave of their borders."""
    assert picture.shape == (_SIDE, _SIDE, 3)
    expected = numbered(number)
    for rows in (slice(16, 112), slice(144, 224)):
        for columns in (slice(16, 112), slice(144, 240)):
            off = np.abs(picture[rows, columns].astype(int) - expected[rows, columns])
            assert off.max() <= _MOST_LEVELS, (number, rows, columns, off.max(axis=(0, 1)))


@contextmanager
def showing(page: ts.LivePage, first: int = 0) -> Iterator[None]:
    """Show frames on a page, one after the other."""
    ends = threading.Event()

    def show() -> None:
        for number in count(first):
            page.write(numbered(number))
            if ends.wait(_SECONDS):
                return

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
