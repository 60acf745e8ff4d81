"""Frames that come converted already: planes of 8 bits, and which of them an encoder takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from video.errors import InputError
from video.spec import BT709, ColorTags

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["YUV_PIXEL_FORMATS", "YuvFormat", "YuvFrame", "luma_weights"]

YUV_PIXEL_FORMATS = ("yuv420p", "nv12")
"""FFmpeg's names of what may come as planes: Y, Cb, Cr; and Y, then Cb and Cr in turn."""

# The weights of red and blue in luma, by the number of the matrix in H.273.
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


def luma_weights(matrix: int) -> tuple[float, float]:
    """The weights of red and of blue in luma, for a matrix's number in H.273.

    Example:
        >>> luma_weights(1)
        (0.2126, 0.0722)
    """
    return _LUMA_WEIGHTS[matrix]


@dataclass(frozen=True, slots=True)
class YuvFormat:
    """The planes that an encoder takes.

    ``width`` and ``height`` are those of the luma plane: where the codec wants even sizes, larger
    than the frame's, whose last row and column are to be repeated. Chroma is half as large both
    ways, rounded up, and sited left. ``tags`` tell the matrix and the range.

    Example:
        >>> YuvFormat("yuv420p", width=5, height=3).shapes
        ((3, 5), (2, 3), (2, 3))
        >>> YuvFormat("nv12", width=6, height=4).shapes
        ((4, 6), (2, 6))
    """

    pixel_format: str
    width: int
    height: int
    tags: ColorTags = BT709

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each plane, in bytes."""
        rows, columns = (self.height + 1) // 2, (self.width + 1) // 2
        if self.pixel_format == "nv12":
            return (self.height, self.width), (rows, 2 * columns)
        return (self.height, self.width), (rows, columns), (rows, columns)


@dataclass(frozen=True, slots=True, eq=False)
class YuvFrame:
    """One frame as planes of uint8, in the order of a ``YuvFormat``."""

    planes: tuple[NDArray[np.uint8], ...]

    def check(self, wanted: YuvFormat) -> None:
        """Raise InputError unless these are the planes that ``wanted`` describes."""
        found = tuple(plane.shape for plane in self.planes)
        dtypes = {str(plane.dtype) for plane in self.planes}
        if found != wanted.shapes or dtypes != {"uint8"}:
            raise InputError(
                f"expected {wanted.pixel_format} planes of shapes {wanted.shapes} and dtype uint8;"
                f" found shapes {found} and dtype {', '.join(sorted(dtypes)) or 'none'}"
            )
