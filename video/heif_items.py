"""The items of a still in HEIF's box format, with their properties (ISO/IEC 23008-12)."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

from video.boxes import Box, Numbers, boxes, boxes_at

__all__ = ["HeifItem", "heif_items"]

_IN_IDAT = 1


@dataclass(slots=True)
class HeifItem:
    """A picture of a file, or what else it holds.

    Attributes:
        kind: four letters, such as ``av01`` or ``grid``.
        extents: offset and length of its parts, in bytes of the file; length 0 is all that follows.
        properties: boxes that say what it is like.
        parts: what it is derived from, in order.
    """

    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)
    parts: list[HeifItem] = field(default_factory=list)

    def head(self, data: bytes, size: int) -> bytes:
        """The first ``size`` bytes of what it stores, out of the whole file's."""
        found = b""
        for offset, length in self.extents:
            part = data[offset : offset + (min(length, size) or size)]
            found += part
            if len(found) >= size or not part:
                break
        return found[:size]


def heif_items(data: bytes) -> HeifItem | None:
    """The primary item of a file, with those that it is made of; None where that is not told.

    ``data`` may be the beginning of the file, as long as it has the ``meta`` box.
    """
    try:
        return _primary(data)
    except (EOFError, IndexError):  # an index beyond what there is
        return None


def _primary(data: bytes) -> HeifItem | None:
    meta = next(boxes_at(data, b"meta"), None)
    if meta is None:
        return None
    items: dict[int, HeifItem] = {}
    for path, read in _READERS.items():
        for box in boxes_at(data, *path, within=meta):
            read(data, box, items, meta)
    for box in boxes_at(data, b"pitm", within=meta):
        numbers = Numbers(data, box)
        return items.get(numbers.next(_id_bytes(numbers)))
    return None


def _id_bytes(numbers: Numbers) -> int:
    return 2 if numbers.version == 0 else 4


def _read_kind(data: bytes, box: Box, items: dict[int, HeifItem]) -> None:
    numbers = Numbers(data, box)
    if numbers.version < 2:
        return
    item = items.setdefault(numbers.next(2 if numbers.version == 2 else 4), HeifItem())
    numbers.next(2)  # protection
    item.kind = numbers.next(4).to_bytes(4, "big")


def _read_kinds(data: bytes, box: Box, items: dict[int, HeifItem], _meta: Box) -> None:
    numbers = Numbers(data, box)
    size = 4 + _id_bytes(numbers)
    for inner in boxes(BytesIO(data), min(box.end, len(data)), box.start + size):
        if inner.kind == b"infe":
            _read_kind(data, inner, items)


def _read_extents(data: bytes, box: Box, items: dict[int, HeifItem], meta: Box) -> None:
    idat = next((each.start for each in boxes_at(data, b"idat", within=meta)), 0)
    numbers = Numbers(data, box)
    sizes, more_sizes = numbers.next(1), numbers.next(1)
    has_more = numbers.version in (1, 2)
    index_size = more_sizes & 15 if has_more else 0
    id_bytes = 2 if numbers.version < 2 else 4
    for _ in range(numbers.next(id_bytes)):
        item = items.setdefault(numbers.next(id_bytes), HeifItem())
        method = numbers.next(2) & 15 if has_more else 0
        numbers.next(2)  # of which file
        base = numbers.next(more_sizes >> 4) + (idat if method == _IN_IDAT else 0)
        for _ in range(numbers.next(2)):
            numbers.next(index_size)
            offset, length = numbers.next(sizes >> 4), numbers.next(sizes & 15)
            item.extents.append((base + offset, length))


def _read_properties(data: bytes, box: Box, items: dict[int, HeifItem], meta: Box) -> None:
    there = [
        each
        for outer in boxes_at(data, b"iprp", b"ipco", within=meta)
        for each in boxes(BytesIO(data), min(outer.end, len(data)), outer.start)
    ]
    numbers = Numbers(data, box)
    index_bytes, most = (2, 0x7FFF) if numbers.flags & 1 else (1, 0x7F)
    for _ in range(numbers.next(4)):
        item = items.setdefault(numbers.next(_id_bytes(numbers)), HeifItem())
        for _ in range(numbers.next(1)):
            index = numbers.next(index_bytes) & most
            if index:
                item.properties.append(there[index - 1])


def _read_parts(data: bytes, box: Box, items: dict[int, HeifItem], _meta: Box) -> None:
    id_bytes = _id_bytes(Numbers(data, box))
    for inner in boxes(BytesIO(data), min(box.end, len(data)), box.start + 4):
        if inner.kind != b"dimg":
            continue
        # No full box: what it begins with is the item that is derived.
        numbers = Numbers(data, Box(inner.kind, inner.start - 4, inner.end))
        item = items.setdefault(numbers.next(id_bytes), HeifItem())
        for _ in range(numbers.next(2)):
            item.parts.append(items.setdefault(numbers.next(id_bytes), HeifItem()))


_READERS: Final = {
    (b"iinf",): _read_kinds,
    (b"iloc",): _read_extents,
    (b"iprp", b"ipma"): _read_properties,
    (b"iref",): _read_parts,
}
