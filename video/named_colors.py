"""What the colours of a still mean: by its profile, or by numbers of H.273 that stand for one.

HEIC and AVIF have such numbers in a box called nclx, and PNG in a chunk called cICP.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from video.color_profile import ColorProfile
from video.heif_items import heif_items

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["hdr_of_still", "profile_of_png", "still_profile"]

_PROPERTIES_BYTES: Final = 1 << 18
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHUNK_EDGES: Final = 12
_CICP_BYTES: Final = 4
_NCLX_BYTES: Final = 8
_UNSPECIFIED: Final = (2, 2)


def hdr_of_still(path: Path) -> str | None:
    """The kind of high dynamic range that a still says it has, "PQ" or "HLG", or None."""
    from video.hdr import HDR_KINDS

    with path.open("rb") as file:
        _, transfer = _numbers(file.read(_PROPERTIES_BYTES))
    return HDR_KINDS.get(transfer)


def still_profile(data: bytes, icc: bytes | None) -> ColorProfile | None:
    """What brings the colours of a still to sRGB; None where they are sRGB's, or of HDR.

    Args:
        data: The file, or its beginning.
        icc: The profile in it. The numbers of a PNG go before that, and those of HEIF behind it.
    """
    from video.hdr import HDR_KINDS
    from video.primaries import profile_of_primaries

    numbers = _numbers(data)
    if icc and not (_is_png(data) and numbers != _UNSPECIFIED):
        return ColorProfile.of(icc)
    primaries, transfer = numbers
    return None if transfer in HDR_KINDS else ColorProfile.of(profile_of_primaries(primaries))


def profile_of_png(path: Path) -> ColorProfile | None:
    """What brings the colours of a PNG, be it an animation, to sRGB; None where they are that."""
    with path.open("rb") as file:
        data = file.read(_PROPERTIES_BYTES)
    _, _, packed = _chunk_of_png(data, b"iCCP").partition(b"\0")
    icc = b""
    with suppress(zlib.error):
        icc = zlib.decompressobj().decompress(packed[1:], _PROPERTIES_BYTES)
    return still_profile(data, icc)


def _numbers(data: bytes) -> tuple[int, int]:
    """The primaries and the transfer curve that a still names, as H.273 counts; or unspecified."""
    if _is_png(data):
        return _numbers_of_png(data)
    return _numbers_of_heif(data) if data[4:8] == b"ftyp" else _UNSPECIFIED


def _is_png(data: bytes) -> bool:
    return data.startswith(_PNG_SIGNATURE)


def _numbers_of_png(data: bytes) -> tuple[int, int]:
    named = _chunk_of_png(data, b"cICP")
    return (named[0], named[1]) if len(named) == _CICP_BYTES else _UNSPECIFIED


def _chunk_of_png(data: bytes, wanted: bytes) -> bytes:
    """The content of a chunk that stands before the picture; empty where there is none."""
    place = len(_PNG_SIGNATURE)
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind == wanted:
            return data[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            break
        place += _CHUNK_EDGES + length
    return b""


def _numbers_of_heif(data: bytes) -> tuple[int, int]:
    primary = heif_items(data)
    if primary is None:
        return _UNSPECIFIED
    said = [
        data[box.start : box.end]
        for item in (primary, *primary.parts[:1])
        for box in item.properties
        if box.kind == b"colr"
    ]
    named = next((each for each in said if each[:4] == b"nclx" and len(each) >= _NCLX_BYTES), None)
    if named is None:
        return _UNSPECIFIED
    return int.from_bytes(named[4:6], "big"), int.from_bytes(named[6:8], "big")
