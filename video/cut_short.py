"""Files that end before they should: told by what their headers say of their length."""

from __future__ import annotations

import os
from io import RawIOBase
from typing import TYPE_CHECKING, Any, Final

from video.boxes import BOX_BYTES, boxes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FirstBytes", "end_of_whole_boxes", "is_cut_short", "lacks_index"]

_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_TAIL = 64
_PNG_END: Final = b"IEND"
_GIF_END: Final = b";"


def is_cut_short(path: Path) -> bool:
    """Whether a video or an animation ends before its end, as far as its kind lets one tell.

    MP4 and MOV, Matroska and WebM, AVI, GIF and APNG do; a stream of unknown length does not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_TAIL)
        if head[4:8] == b"ftyp":
            *_, last = boxes(file, size)
            return last.end > size or last.kind == b"moof"
        if head.startswith(b"RIFF"):
            return (
                BOX_BYTES + int.from_bytes(head[4:8], "little") > size + 1
            )  # an odd one is padded
        if head.startswith(_EBML):
            return (_end_of_segment(head) or 0) > size
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        if head.startswith(b"GIF8"):
            return not tail.rstrip(b"\0").endswith(_GIF_END)
        return head.startswith(b"\x89PNG") and _PNG_END not in tail


def end_of_whole_boxes(path: Path) -> int | None:
    """Where the last whole box of an MP4 or MOV ends that is cut short; None for another file.

    FFmpeg reads nothing at all where what follows is a part of a fragment's header.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(BOX_BYTES)[4:] != b"ftyp":
            return None
        ends = [box.end for box in boxes(file, size)]
    return ends[-2] if len(ends) > 1 and ends[-1] > size else None


class FirstBytes(RawIOBase):
    """The beginning of a file, for reading."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        self._file, self._size, self._place = path.open("rb"), size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        self._file.seek(self._place)
        count = self._file.readinto(view[: max(0, self._size - self._place)])
        self._place += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def close(self) -> None:
        self._file.close()
        super().close()


def lacks_index(path: Path) -> bool:
    """Whether an MP4 or MOV has no ``moov``, which says where its frames are."""
    with path.open("rb") as file:
        if file.read(BOX_BYTES)[4:] != b"ftyp":
            return False
        return all(box.kind != b"moov" for box in boxes(file, path.stat().st_size))


def _end_of_segment(head: bytes) -> int | None:
    """Where the segment of a Matroska file ends; None where that is not said.

    >>> _end_of_segment(_EBML + b"\\x81x" + _SEGMENT + b"\\x40\\x09")
    21
    """
    length, place = _number(head, len(_EBML))
    if length is None or head[place + length : place + length + 4] != _SEGMENT:
        return None
    length, place = _number(head, place + length + len(_SEGMENT))
    return None if length is None else place + length


def _number(data: bytes, place: int) -> tuple[int | None, int]:
    """A length of EBML, or None for an unknown one, and where what it is the length of begins."""
    first = data[place] if place < len(data) else 0
    octets = 9 - first.bit_length()
    if not 1 <= octets <= BOX_BYTES or place + octets > len(data):
        return None, place
    bits = 7 * octets
    value = int.from_bytes(data[place : place + octets], "big") & ((1 << bits) - 1)
    return (None if value == (1 << bits) - 1 else value), place + octets
