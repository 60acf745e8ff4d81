"""Damages: each takes a file's bytes, and returns others."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from random import Random
from typing import Final

__all__ = ["damaged", "with_png_sums"]


def damaged(data: bytes, turn: Random, others: Sequence[bytes]) -> bytes:
    """A file that is damaged as dice have it; ``others``: files of which it may get a part."""
    if turn.random() < 0.05:
        return _spliced(data, turn.choice(others), turn)
    if data.startswith(b"PK") and turn.random() < 0.7:
        return _damaged_member(data, turn)
    for _ in range(turn.choice([1, 1, 1, 2, 5])):
        data = turn.choice(_DAMAGES)(data, turn)
    if turn.random() < 0.7:
        return _with_sums(data)
    return data


def _truncated(data: bytes, turn: Random) -> bytes:
    return data[: turn.randrange(len(data) + 1)]


def _flipped(data: bytes, turn: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(turn.choice([1, 2, 8])):
        if changed:
            changed[_place(changed, turn)] ^= 1 << turn.randrange(8)
    return bytes(changed)


def _overwritten(data: bytes, turn: Random) -> bytes:
    start = _place(data, turn)
    length = turn.choice([1, 2, 4, 8, 64, 1024])
    filling = turn.choice([b"\0", b"\xff", b"9", bytes([turn.randrange(256)])])
    return data[:start] + filling * length + data[start + length :]


def _grown_number(data: bytes, turn: Random) -> bytes:
    """A number in words that is larger, negative, or not whole."""
    places = list(re.finditer(rb"\d+", data[:4096]))
    if not places:
        return _grown_field(data, turn)
    place = turn.choice(places)
    number = turn.choice(
        [
            b"0",
            b"-1",
            b"9" * 12,
            b"4294967295",
            b"18446744073709551616",
            b"1e9",
            b"NaN",
            b"9" * 5000,
        ]
    )
    return data[: place.start()] + number + data[place.end() :]


def _grown_field(data: bytes, turn: Random) -> bytes:
    """A whole number of 1 to 8 bytes, of either byte order, that is at an end of its range."""
    start = _place(data, turn)
    letter, order = turn.choice("BHIQ"), turn.choice("<>")
    size = struct.calcsize(letter)
    most = 2 ** (8 * size) - 1
    number = turn.choice([0, 1, most, most // 2, most // 2 + 1, 100_000 & most, 2**20 & most])
    return data[:start] + struct.pack(order + letter, number) + data[start + size :]


def _cut_out(data: bytes, turn: Random) -> bytes:
    start = _place(data, turn)
    return data[:start] + data[start + turn.choice([1, 2, 4, 16, 256]) :]


def _repeated(data: bytes, turn: Random) -> bytes:
    start = _place(data, turn)
    return data[:start] + data[start : start + 64] * turn.choice([2, 3, 50]) + data[start:]


def _place(data: bytes | bytearray, turn: Random) -> int:
    """A place in a file, most often in its head or its tail, where its figures are."""
    size = max(1, len(data))
    near = min(size, turn.choice([32, 256, 1024, size]))
    start = turn.randrange(near)
    return start if turn.random() < 0.7 else size - 1 - start


_DAMAGES: Final = (
    *(_truncated, _flipped, _flipped, _overwritten, _grown_number, _grown_number),
    *(_grown_field, _grown_field, _cut_out, _repeated),
)


def _spliced(one: bytes, other: bytes, turn: Random) -> bytes:
    return one[: turn.randrange(len(one) + 1)] + other[turn.randrange(len(other) + 1) :]


def _damaged_member(data: bytes, turn: Random) -> bytes:
    """A zip archive whose sums are right and one of whose members is not."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as whole:
            members = [(info, whole.read(info)) for info in whole.infolist()]
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return data
    chosen = turn.randrange(len(members))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number, (info, content) in enumerate(members):
            damaged = turn.choice(_DAMAGES)(content, turn) if number == chosen else content
            archive.writestr(info.filename, damaged, info.compress_type)
    return made.getvalue()


def _with_sums(data: bytes) -> bytes:
    if data.startswith(b"\x89PNG"):
        return with_png_sums(data)
    return _with_ogg_sums(data) if data.startswith(b"OggS") else data


def _with_ogg_sums(data: bytes) -> bytes:
    """Pages of Ogg with the sums that belong to them (RFC 3533): a CRC with its bits not turned."""
    pages = data.split(b"OggS")[1:]
    return b"".join(_with_ogg_sum(b"OggS" + page) for page in pages)


def _with_ogg_sum(page: bytes) -> bytes:
    blank, sum_ = page[:22] + bytes(4) + page[26:], 0
    for byte in blank:
        sum_ ^= byte << 24
        for _ in range(8):
            sum_ = (sum_ << 1 ^ (0x04C11DB7 if sum_ >> 31 else 0)) & 0xFFFFFFFF
    return blank[:22] + struct.pack("<I", sum_) + blank[26:]


def with_png_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the sums that belong to them, as far as they are chunks."""
    made, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        body = data[place + 4 : place + 8 + length]
        made += data[place : place + 8 + length] + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(made + data[place:])
