"""The boxes of MP4, QuickTime and HEIF (ISO/IEC 14496-12), and the numbers in them."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["BOX_BYTES", "Box", "Numbers", "boxes", "boxes_at"]

BOX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a ``kind`` of four letters, whose content lies from ``start`` to ``end``."""

    kind: bytes
    start: int
    end: int


def boxes(file: BinaryIO, end: int, start: int = 0) -> Iterator[Box]:
    """The boxes of a part of a file; the last may end beyond it, and its header be cut short."""
    place = start
    while place < end:
        file.seek(place)
        head = file.read(2 * BOX_BYTES)
        length, header = int.from_bytes(head[:4], "big"), BOX_BYTES
        if length == 0 and len(head) >= BOX_BYTES:  # to the end
            length = end - place
        elif length == 1:
            length, header = int.from_bytes(head[BOX_BYTES:], "big"), 2 * BOX_BYTES
        content, place = place + header, place + max(length, header)
        yield Box(head[4:BOX_BYTES], content, place)


def boxes_at(data: bytes, *path: bytes, within: Box | None = None) -> Iterator[Box]:
    """The boxes that lie in one another by these names; what is in a ``meta`` begins after 4 bytes.

    They are looked for one by one, within a box or else in the whole of ``data``.

    >>> data = bytes.fromhex("00000010") + b"moov" + bytes.fromhex("00000008") + b"trak"
    >>> [box.start for box in boxes_at(data, b"moov", b"trak")]
    [16]
    """
    outer = within or Box(b"", 0, len(data))
    start = outer.start + 4 * (outer.kind == b"meta")
    for inner in boxes(BytesIO(data), min(outer.end, len(data)), start):
        if inner.kind == path[0] and len(path) > 1:
            yield from boxes_at(data, *path[1:], within=inner)
        elif inner.kind == path[0]:
            yield inner


class Numbers:
    """Unsigned numbers of a box, highest byte first, one after the other.

    Attributes:
        version: of a full box, whose first four bytes are its version and flags.
        flags: of it.
    """

    def __init__(self, data: bytes, box: Box) -> None:
        self._content = BytesIO(data[box.start : box.end])
        self.version, self.flags = self.next(1), self.next(3)

    def next(self, size: int) -> int:
        """The next number, of ``size`` bytes.

        Raises:
            EOFError: the box is shorter.
        """
        read = self._content.read(size)
        if len(read) < size:
            raise EOFError("a box ends before its last number")
        return int.from_bytes(read, "big")
