"""The one rule for what is transparent: it is laid over a colour, or kept as an alpha channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np

from video.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OVER_WHITE", "WHITE", "Background", "Transparency", "is_transparent"]

Background: TypeAlias = str | tuple[int, int, int] | None
"""A colour by its name in CSS, as #rrggbb, or as three bytes; None where none is asked for."""

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

    @classmethod
    def of(cls, background: Background, *, holds_alpha: bool) -> Self:
        """Kept where that is possible and no colour is asked for; else laid over it, or white.

        Raises:
            InputError: it is no colour.
        """
        if background is None:
            return cls(is_kept=holds_alpha)
        return cls(_parsed(background))

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


def _parsed(background: str | tuple[int, int, int]) -> tuple[int, int, int]:
    """The bytes of a colour.

    >>> _parsed("#ff8000"), _parsed("navy")
    ((255, 128, 0), (0, 0, 128))
    """
    from PIL.ImageColor import getrgb

    try:
        levels = getrgb(background) if isinstance(background, str) else tuple(background)
    except (ValueError, TypeError):
        levels = ()
    if len(levels) != 3 or not all(type(level) is int and 0 <= level < 256 for level in levels):
        raise InputError(
            "background: expected a colour such as white, black or #00ff00, found"
            f" {str(background)[:40]!r}"
        )
    red, green, blue = levels
    return red, green, blue


def _opaque(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = np.full((*image.shape[:2], 1), _OPAQUE, np.uint8)
    return np.concatenate((image, alpha), axis=2)
