"""The header of a .safetensors file, checked against the size of the file as its library does."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any, Final, TypeGuard

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["SafetensorsHeader"]

_LENGTH: Final = struct.Struct("<Q")
_MOST_BYTES: Final = 100_000_000
_METADATA: Final = "__metadata__"
_BITS: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
"""Of a number, by the format's names; those of less than a byte and later ones are not listed."""


class SafetensorsHeader:
    """What is in a .safetensors file, and where.

    Args:
        file: At its beginning.
        size: Of the file, in bytes.

    Attributes:
        entries: By name, each with "dtype", "shape" and "data_offsets".
        metadata: What the file says beside its arrays.
        start: Of the numbers, from which offsets count, in bytes.

    Raises:
        ValueError: It is broken, or the file is shorter or longer than it says.

    >>> import io
    >>> header = b'{"a":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}'
    >>> content = _LENGTH.pack(len(header)) + header + bytes(6)
    >>> SafetensorsHeader(io.BytesIO(content), len(content)).entries["a"]["shape"]
    [3]
    >>> SafetensorsHeader(io.BytesIO(content), len(content) - 1)
    Traceback (most recent call last):
    ValueError: 5 bytes of numbers, where it tells of 6
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        head = file.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise ValueError(f"{len(head)} bytes")
        (length,) = _LENGTH.unpack(head)
        self.start = _LENGTH.size + length
        if length > _MOST_BYTES or self.start > size:
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        try:
            fields = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"a header that is no JSON: {error}") from error
        if not isinstance(fields, dict):
            raise ValueError(f"a header that is a {type(fields).__name__}")
        said = fields.pop(_METADATA, None) or {}
        if not (isinstance(said, dict) and all(isinstance(each, str) for each in said.values())):
            raise ValueError("metadata that are no texts")
        self.metadata: dict[str, str] = said
        self.entries: dict[str, dict[str, Any]] = fields
        self._check_places(size - self.start)

    def _check_places(self, size: int) -> None:
        """Arrays follow each other without gaps, and end where the file does."""
        for name, entry in self.entries.items():
            _check_entry(name, entry)
        end = 0
        for name, entry in sorted(self.entries.items(), key=lambda each: each[1]["data_offsets"]):
            start, stop = entry["data_offsets"]
            if start != end or stop < start:
                raise ValueError(f"{name!r:.50} at {start}:{stop}, where {end} was to be next")
            end = stop
        if end != size:
            raise ValueError(f"{size} bytes of numbers, where it tells of {end}")


def _check_entry(name: str, entry: object) -> None:
    if not (isinstance(entry, dict) and isinstance(entry.get("dtype"), str)):
        raise ValueError(f"{name!r:.50} without a dtype")
    shape, places = entry.get("shape"), entry.get("data_offsets")
    if not (_are_sizes(shape) and _are_sizes(places) and len(places) == 2):
        raise ValueError(f"{name!r:.50} without a shape or a place")
    bits = _BITS.get(entry["dtype"])
    held = places[1] - places[0]
    if bits is not None and math.prod(shape) * bits != 8 * held:
        raise ValueError(f"{name!r:.50} of shape {shape!s:.50} in {held} bytes")


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)
