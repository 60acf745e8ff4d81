"""Stills in HEIF's box format, HEIC and AVIF, as phones and browsers store them: whole and upright.

Both may be a grid of tiles, the last ones cropped, turned or mirrored by properties of the file.
FFmpeg shows the first tile; libheif and libavif, which are used here, put all together.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from video.errors import InputError, MissingExtraError
from video.pillow_reading import read_by_pillow

if TYPE_CHECKING:
    from video.pillow_reading import StoredPicture

__all__ = ["HEAD_BYTES", "heif_kind", "heif_kind_of", "read_heif"]

HeifKind = Literal["HEIC", "AVIF"]

HEAD_BYTES = 256
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


def read_heif(data: bytes, name: Path, kind: HeifKind) -> StoredPicture:
    """Read a still, put together from its tiles.

    Raises:
        InputError: it is damaged.
        MissingExtraError: it is HEIC, and pillow-heif is not installed.
    """
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
