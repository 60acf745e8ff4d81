"""Stills in HEIF's box format, HEIC and AVIF, as phones and browsers store them: whole and upright.

Both may be a grid of tiles, the last ones cropped, turned or mirrored by properties of the file.
FFmpeg shows the first tile; libheif and libavif, which are used here, put all together.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from video.color_profile import ColorProfile
from video.errors import InputError, MissingExtraError
from video.heif_items import heif_items
from video.pillow_reading import read_by_pillow

if TYPE_CHECKING:
    from video.pillow_reading import StoredPicture

__all__ = ["HEAD_BYTES", "heif_hdr", "heif_kind", "heif_kind_of", "read_heif"]

HeifKind = Literal["HEIC", "AVIF"]

HEAD_BYTES = 256
_PROPERTIES_BYTES = 1 << 18
_NCLX_BYTES = 8
_UNSPECIFIED = (2, 2)
# Brands of stills (ISO/IEC 23008-12, annex B; AVIF 1.1); a major brand of a sequence makes a video.
_BRANDS: dict[bytes, HeifKind] = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"avif": "AVIF",
    b"mif1": "HEIC",
}


def heif_kind(head: bytes) -> HeifKind | None:
    """The still that a file is, by its first ``HEAD_BYTES``; None if it is none of these."""
    if head[4:8] != b"ftyp":
        return None
    major, length = head[8:12], min(int.from_bytes(head[:4], "big"), HEAD_BYTES, len(head))
    compatible = [head[start : start + 4] for start in range(16, length - 3, 4)]
    if major == b"mif1" and b"avif" in compatible:
        return "AVIF"
    return _BRANDS.get(major)


def heif_kind_of(path: Path) -> HeifKind | None:
    """The still that a file is, whatever its name; None if it is none of these.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return heif_kind(file.read(HEAD_BYTES))
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from error


def heif_hdr(path: Path) -> str | None:
    """The kind of high dynamic range that such a still says it has, "PQ" or "HLG", or None."""
    if heif_kind_of(path) is None:
        return None
    from video.hdr import HDR_KINDS

    with path.open("rb") as file:
        _, transfer = _colors(file.read(_PROPERTIES_BYTES))
    return HDR_KINDS.get(transfer)


def _colors(data: bytes) -> tuple[int, int]:
    """The primaries and the transfer curve that a still names, as H.273 counts; or unspecified."""
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


def read_heif(data: bytes, name: Path, kind: HeifKind) -> StoredPicture:
    """Read a still, put together from its tiles; its colours may be named without a profile.

    Raises:
        InputError: it is damaged.
        MissingExtraError: it is HEIC, and pillow-heif is not installed.
    """
    from video.hdr import HDR_KINDS
    from video.primaries import profile_of_primaries

    picture = _decoded(data, name, kind)
    primaries, transfer = _colors(data)
    if picture.has_profile or transfer in HDR_KINDS:
        return picture
    return replace(picture, profile=ColorProfile.of(profile_of_primaries(primaries)))


def _decoded(data: bytes, name: Path, kind: HeifKind) -> StoredPicture:
    if kind == "AVIF":
        return read_by_pillow(data, name, kind)
    if find_spec("pillow_heif") is None:
        raise MissingExtraError(
            f"'{name}' is a HEIC picture, and pillow-heif, which reads them, is not installed;"
            " pip install 'taesd-stream[heic]'"
        )
    import pillow_heif

    pillow_heif.register_heif_opener()
    return read_by_pillow(data, name, "HEIF")
