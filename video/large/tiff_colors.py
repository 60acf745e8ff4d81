"""Samples of TIFF that are no grey or RGB of 8 or 16 bits, and what makes such of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from video.color_profile import ColorProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CMYK", "GREY", "LAB", "PALETTE", "WHITE_IS_ZERO", "ToPlain", "plain_colors"]

WHITE_IS_ZERO, GREY, PALETTE, CMYK, LAB = 0, 1, 3, 5, 8
"""Values of the tag PhotometricInterpretation."""

_FAX = (2, 3, 4)
_FEW_BITS = (1, 2, 4)

ToPlain: TypeAlias = "Callable[[NDArray[Any]], NDArray[Any]]"
"""Samples of a block, (h, w, samples), to grey or RGB of 8 or 16 bits, (h, w, 1 or 3)."""


def plain_colors(page: Any, icc: bytes | None) -> ToPlain | None:
    """What makes grey or RGB of the samples of a page; None where they are, or it cannot be made.

    Args:
        page: tifffile's, of a palette, of few bits, of grey whose zero is white, or of CMYK.
        icc: its profile.
    """
    bits, samples, photometric = page.bitspersample, page.samplesperpixel, page.photometric
    if page.compression in _FAX:  # its decoder makes something of anything
        return None
    if samples == 1 and photometric == PALETTE and bits in (*_FEW_BITS, 8):
        colors = np.asarray(page.colormap).T
        # Some writers store 16 bits, and some 8, in the upper byte of 16 or in the lower one.
        eight = (colors >> 8 if colors.max() > 255 else colors).astype(np.uint8)
        return lambda indices: eight[indices[..., 0].astype(np.intp)]
    if samples == 1 and photometric in (WHITE_IS_ZERO, GREY) and bits in _FEW_BITS:
        most = (1 << bits) - 1
        flip = most if photometric == WHITE_IS_ZERO else 0
        return lambda levels: (levels.astype(np.uint8) ^ np.uint8(flip)) * np.uint8(255 // most)
    if samples == 1 and photometric == WHITE_IS_ZERO and page.dtype in (np.uint8, np.uint16):
        return lambda levels: ~levels
    if samples == 4 and photometric == CMYK and bits == 8 and page.planarconfig == 1:
        profile = ColorProfile.of(icc)
        return lambda inks: _printed(inks, profile)
    return None


def _printed(inks: NDArray[np.uint8], profile: ColorProfile | None) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = inks.shape[:2]
    image = Image.frombytes("CMYK", (width, height), np.ascontiguousarray(inks).tobytes())
    if profile is not None and profile.mode == "CMYK":
        return np.asarray(profile.to_srgb(image))
    return np.asarray(image.convert("RGB"))
