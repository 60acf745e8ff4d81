"""The size of frames that AV1 says it has coded, in its sequence header (AV1 5.5)."""

from __future__ import annotations

from typing import Final

__all__ = ["av1_size"]

_SEQUENCE_HEADER: Final = 1
_MOST_HEADER_BYTES: Final = 255


def av1_size(data: bytes) -> tuple[int, int] | None:
    """The largest width and height of frames, in pixels, by the first sequence header in OBUs.

    None where there is no header, or not all of it.

    >>> av1_size(bytes.fromhex("12000a0918157d85a2021a0d08"))
    (62, 34)
    """
    place = 0
    while place + 2 <= len(data):
        head = data[place]
        place += 2 if head & 4 else 1  # one more for layers
        length, place = _variable_length(data, place) if head & 2 else (len(data) - place, place)
        if (head >> 3) & 15 == _SEQUENCE_HEADER:
            return _size(_Bits(data[place : place + min(length, _MOST_HEADER_BYTES)]))
        place += length
    return None


def _variable_length(data: bytes, place: int) -> tuple[int, int]:
    """A number in 7 bits of each byte, lowest first, and where what follows it begins."""
    value = 0
    for index, octet in enumerate(data[place : place + 8]):
        value |= (octet & 0x7F) << 7 * index
        if octet < 0x80:
            return value, place + index + 1
    return len(data), len(data)


class _Bits:
    """Numbers of any count of bits, highest first; ``is_over`` after one that is not there."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)
        self.is_over = False

    def next(self, count: int = 1) -> int:
        self._left -= count
        if self._left < 0:
            self.is_over = True
            return 0
        return self._value >> self._left & ((1 << count) - 1)

    def skip_exp_golomb(self) -> None:
        zeros = 0
        while not self.next() and not self.is_over:
            zeros += 1
        self.next(zeros)


def _size(bits: _Bits) -> tuple[int, int] | None:
    bits.next(3)  # profile
    bits.next()  # a still picture
    if bits.next():  # the short header of one
        bits.next(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.next(4) + 1, bits.next(4) + 1
    size = bits.next(width_bits) + 1, bits.next(height_bits) + 1
    return None if bits.is_over else size


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.next():  # timing
        bits.next(64)
        if bits.next():
            bits.skip_exp_golomb()
        if bits.next():  # a model of decoders
            delay_bits = bits.next(5) + 1
            bits.next(32 + 5 + 5)
    has_delay = bits.next()
    for _ in range(bits.next(5) + 1):
        bits.next(12)
        if bits.next(5) > 7:  # level
            bits.next()  # tier
        if delay_bits and bits.next():
            bits.next(2 * delay_bits + 1)
        if has_delay and bits.next():
            bits.next(4)
