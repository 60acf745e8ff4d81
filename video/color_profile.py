"""Colours as a picture's ICC profile means them, brought to sRGB."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

__all__ = ["ColorProfile"]

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_NEAR_SRGB = 2
"""By how many levels of 255 a profile may differ from sRGB and still be taken for it."""


class ColorProfile:
    """What brings colours to sRGB; made by ``of``.

    Attributes:
        mode: of the pictures that it is for: "RGB", "L" or "CMYK".
    """

    def __init__(self, mode: str, transform: ImageCmsTransform) -> None:
        self.mode = mode
        self._transform = transform

    @classmethod
    def of(cls, icc: bytes | None) -> Self | None:
        """The profile in these bytes; None where there is none, it is broken, or it is sRGB's."""
        if not icc:
            return None
        from PIL import ImageCms

        try:
            found: Any = ImageCms.ImageCmsProfile(BytesIO(icc))
            mode = _MODES[found.profile.xcolor_space]
            transform = ImageCms.buildTransform(
                found,
                ImageCms.createProfile("sRGB"),
                mode,
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError, KeyError, ValueError):
            return None
        profile = cls(mode, transform)
        return None if profile._changes_nothing() else profile

    def to_srgb(self, image: Image) -> Image:
        """A picture of the profile's mode as RGB."""
        from PIL import ImageCms

        converted = ImageCms.applyTransform(image, self._transform)
        assert converted is not None
        return converted

    def applied(self, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Colours (H, W, 3 or 4) of the profile's kind in sRGB; others, and alpha, as they are."""
        from PIL import Image

        if self.mode == "CMYK":
            return colors
        stored = colors[..., 0] if self.mode == "L" else colors[..., :3]
        made = np.asarray(self.to_srgb(Image.fromarray(np.ascontiguousarray(stored))))
        return made if colors.shape[2] == 3 else np.concatenate((made, colors[..., 3:]), axis=2)

    def _changes_nothing(self) -> bool:
        if self.mode == "CMYK":
            return False
        steps = np.linspace(0, 255, 9).round().astype(np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 27, 3)
        if self.mode == "L":
            grid = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        change = self.applied(grid).astype(np.int16) - grid
        return int(np.abs(change).max()) <= _NEAR_SRGB
