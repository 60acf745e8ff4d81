"""The size that an AVIF claims, held against that of the frames coded in it.

libavif scales what is coded to what is claimed, so that a few bytes may become any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from video.av1_size import av1_size
from video.boxes import Box, Numbers, boxes_at
from video.claimed_size import check_claimed_size
from video.errors import InputError
from video.heif_items import heif_items

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from video.heif_items import HeifItem

__all__ = ["check_size"]

_SEQUENCE: Final = b"avis"
_HEAD_BYTES: Final = 1024
_CHUNKS: Final = ((b"stco", 4), (b"co64", 8))


def check_size(size: tuple[int, int], kind: str, data: bytes, name: Path) -> None:
    """Refuse a picture that claims more pixels than its bytes may hold, or than fit in memory.

    An AVIF tells how many are coded in it; for others see ``check_claimed_size``.

    Args:
        size: width and height that it claims.
        kind: of the picture, by Pillow's name.
        data: the file.
        name: of it, for the message.

    Raises:
        InputError: it does.
    """
    coded = _coded_pixels(data) if kind == "AVIF" else None
    if coded is None:
        check_claimed_size(size, kind, len(data), name)
        return
    width, height = size
    if width * height > coded:
        raise InputError(
            f"cannot read '{name}': its header claims {width}x{height} pixels, and {coded} are"
            " coded in it; is it damaged?"
        )
    check_claimed_size(size, "av1", len(data), name)


def _coded_pixels(data: bytes) -> int | None:
    return _pixels_in_tracks(data) if data[8:12] == _SEQUENCE else _pixels_in_items(data)


def _pixels_in_items(data: bytes) -> int | None:
    primary = heif_items(data)
    if primary is None:
        return None
    parts: list[HeifItem] = primary.parts if primary.kind == b"grid" else [primary]
    # A part that is named many times is looked at once.
    stored = {id(each): each.head(data, _HEAD_BYTES) for each in parts}
    coded = {key: _pixels(obus) for key, obus in stored.items()}
    return sum(coded[id(each)] or 0 for each in parts) if all(coded.values()) else None


def _pixels_in_tracks(data: bytes) -> int | None:
    """Those of a frame, by the smallest of what the tracks of an animation begin with."""
    coded = [_pixels(data[place : place + _HEAD_BYTES]) for place in _first_places(data)]
    return min((each for each in coded if each is not None), default=None) if all(coded) else None


def _pixels(obus: bytes) -> int | None:
    size = av1_size(obus)
    return None if size is None else size[0] * size[1]


def _first_places(data: bytes) -> Iterator[int]:
    for kind, octets in _CHUNKS:
        for box in boxes_at(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", kind):
            yield from _first_place(data, box, octets)


def _first_place(data: bytes, box: Box, octets: int) -> Iterator[int]:
    try:
        numbers = Numbers(data, box)
        if numbers.next(4):
            yield numbers.next(octets)
    except EOFError:
        return
