"""Frames and bands that wait between the thread that computes and the one that reads or writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

from tiling import Size
from video.background import WriteBehind, room_for

__all__ = ["frames_that_wait", "writing_behind"]

T = TypeVar("T")


def frames_that_wait(size: Size) -> int:
    """The most frames of a size, in pixels, that wait: the slower side for a moment catches up.

    >>> frames_that_wait(Size(512, 512)), frames_that_wait(Size(16384, 16384))
    (4, 1)
    """
    return room_for(3 * size.area, most_items=4, most_bytes=64 << 20)


def writing_behind(
    closing: ExitStack, write: Callable[[Iterator[T]], None], *, most: int
) -> WriteBehind[T, None]:
    """A thread that writes what comes while the next of it is computed.

    That needs no fewer threads for either: on two cores, with as many for PyTorch and as many as it
    likes for x264, 16 frames of 512x512 in one run took 1.00 (bfloat16) and 1.02 (float32) times
    as long as decoding and encoding one after the other, each measured alone; PyTorch cut to one
    thread took 1.47 times as long.

    Args:
        closing: What closes the file. The thread takes it over, since a writer must not be closed
            by one thread while it is written to by another.
        write: Writes all that comes.
        most: How many may wait.
    """

    def write_and_close(items: Iterator[T]) -> None:
        with closing.pop_all():
            write(items)

    return WriteBehind(write_and_close, most=most)
