"""Pixels as they are to be shown: upright, and in sRGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from video.color_profile import ColorProfile
    from video.orientation import Orientation

__all__ = ["Pixels", "ShownPixels"]


class Pixels(Protocol):
    """The pixels of a picture in a file of some kind, of a height and a width."""

    size: tuple[int, int]

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """The pixels of some rows and columns, (h, w, 3) RGB, or (h, w, 4)."""


class ShownPixels:
    """A picture that is stored turned or mirrored, or in colours of another profile than sRGB.

    Args:
        stored: the picture as it is stored.
        orientation: how it is to be shown.
        profile: what its colours mean; None for sRGB.
    """

    def __init__(
        self, stored: Pixels, orientation: Orientation, profile: ColorProfile | None
    ) -> None:
        self._stored, self._orientation, self._profile = stored, orientation, profile
        height, width = stored.size
        self.size = (width, height) if orientation.transposed else (height, width)

    def read(self, rows: slice, columns: slice) -> NDArray[np.uint8]:
        height, width = self.size
        if self._orientation.flipped:
            rows = slice(height - rows.stop, height - rows.start)
        if self._orientation.mirrored:
            columns = slice(width - columns.stop, width - columns.start)
        if self._orientation.transposed:
            rows, columns = columns, rows
        found = self._stored.read(rows, columns)
        if self._profile is not None:
            found = self._profile.applied(found)
        return self._orientation.applied(found)
