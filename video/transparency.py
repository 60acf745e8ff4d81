"""The one rule for what is transparent: it is laid over a colour, or kept as an alpha channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OVER_WHITE", "WHITE", "Transparency", "is_transparent"]

WHITE: Final = (255, 255, 255)
_OPAQUE: Final = 255
_NAMES: Final = {WHITE: "white", (0, 0, 0): "black"}


@dataclass(frozen=True, slots=True)
class Transparency:
    """What becomes of pictures with straight alpha.

    Attributes:
        background: the colour that they are laid over, RGB.
        is_kept: whether they stay (H, W, 4) in place of that.

    Example:
        >>> half = np.array([[[200, 0, 0, 128]]], np.uint8)
        >>> Transparency().applied(half).tolist()
        [[[227, 127, 127]]]
        >>> Transparency(background=(0, 0, 0)).applied(half).tolist()
        [[[100, 0, 0]]]
    """

    background: tuple[int, int, int] = WHITE
    is_kept: bool = False

    @property
    def color_name(self) -> str:
        """The background in a word, or as #rrggbb."""
        return _NAMES.get(self.background) or "#{:02x}{:02x}{:02x}".format(*self.background)

    def applied(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) or (H, W, 4) bytes as (H, W, 3), or as (H, W, 4) where alpha is kept."""
        if self.is_kept:
            return image if image.shape[2] == 4 else _opaque(image)
        if image.shape[2] == 3:
            return image
        if not is_transparent(image):
            return np.ascontiguousarray(image[..., :3])
        # 255 * 255 and the half that rounds fit 16 bits.
        alpha = image[..., 3:].astype(np.uint16)
        laid = image[..., :3] * alpha
        laid += np.array(self.background, np.uint16) * (_OPAQUE - alpha)
        laid += _OPAQUE // 2
        laid //= _OPAQUE
        return laid.astype(np.uint8)


OVER_WHITE: Final = Transparency()


def is_transparent(image: NDArray[np.uint8]) -> bool:
    """Whether any pixel of (H, W, 3 or 4) bytes is not opaque."""
    return image.shape[2] == 4 and int(image[..., 3].min()) < _OPAQUE


def _opaque(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = np.full((*image.shape[:2], 1), _OPAQUE, np.uint8)
    return np.concatenate((image, alpha), axis=2)
