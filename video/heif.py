"""Stills in HEIF's box format, HEIC and AVIF, as phones and browsers store them: whole and upright.

Both may be a grid of tiles, the last ones cropped, turned or mirrored by properties of the file.
FFmpeg shows the first tile; libheif and libavif, which are used here, put all together.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageOps

from video.errors import InputError, MissingExtraError, first_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["heif_kind", "read_heif"]

HeifKind = Literal["HEIC", "AVIF"]

_HEAD_BYTES = 256
# Brands of stills (ISO/IEC 23008-12, annex B; AVIF 1.1); a major brand of a sequence makes a video.
_BRANDS: dict[bytes, HeifKind] = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"avif": "AVIF",
    b"mif1": "HEIC",
}


def heif_kind(path: Path) -> HeifKind | None:
    """What still a file is by its first bytes; None if it is none of these.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from error
    if head[4:8] != b"ftyp":
        return None
    major, length = head[8:12], min(int.from_bytes(head[:4], "big"), len(head))
    compatible = [head[start : start + 4] for start in range(16, length - 3, 4)]
    if major == b"mif1" and b"avif" in compatible:
        return "AVIF"
    return _BRANDS.get(major)


def read_heif(path: Path, kind: HeifKind) -> NDArray[np.uint8]:
    """Read a still as it is to be shown: uint8 (H, W, 3), or 4 where it has transparency.

    Raises:
        InputError: it is damaged.
        MissingExtraError: it is HEIC, and pillow-heif is not installed.
    """
    if kind == "HEIC":
        if find_spec("pillow_heif") is None:
            raise MissingExtraError(
                f"'{path}' is a HEIC picture, and pillow-heif, which reads them, is not installed;"
                " pip install 'taesd-stream[heic]'"
            )
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            shown = ImageOps.exif_transpose(image)
            mode = "RGBA" if shown.has_transparency_data else "RGB"
            return np.asarray(shown.convert(mode))
    except (OSError, ValueError, RuntimeError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"cannot read '{path}' as {kind}: {first_line(error)}; is it complete?"
        ) from error
