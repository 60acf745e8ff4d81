"""The way in which a picture is to be shown: turned by quarters, mirrored, or both."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

__all__ = ["UPRIGHT", "Orientation", "orientation_of"]

_SLANTED = 0.01
"""The sine of an angle that a matrix may be off a quarter turn."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight that keep rows and columns straight.

    Attributes:
        transposed: whether rows and columns change places, before all else.
        mirrored: whether left and right then do.
        flipped: whether top and bottom then do.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @classmethod
    def of_matrix(cls, matrix: bytes) -> Orientation | None:
        """The orientation that a display matrix asks for; None where rows would be slanted.

        Args:
            matrix: nine 32-bit numbers in the machine's order, as FFmpeg has them: a point (x, y)
                goes to (a x + c y, b x + d y), with a, b, c and d the first, second, fourth and
                fifth of them.

        >>> Orientation.of_matrix(struct.pack("=9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
        Orientation(transposed=True, mirrored=True, flipped=False)
        """
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
        straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
        if straight == crossed or min(straight, crossed) > _SLANTED * max(straight, crossed):
            return None
        if straight > crossed:
            return cls(mirrored=a < 0, flipped=d < 0)
        return cls(transposed=True, mirrored=c < 0, flipped=b < 0)

    @classmethod
    def of_exif(cls, tag: int) -> Orientation:
        """The orientation that a tag of TIFF and EXIF asks for; 1, and no tag's, is upright.

        The tag says where the stored first row and column are shown (TIFF 6.0, page 36).

        >>> Orientation.of_exif(6)
        Orientation(transposed=True, mirrored=True, flipped=False)
        """
        return _EXIF.get(tag, UPRIGHT)

    def applied(self, image: NDArray[Any]) -> NDArray[Any]:
        """The picture as it is to be shown: (H, W, ...), rows and columns perhaps exchanged."""
        if self == UPRIGHT:
            return image
        turned = np.swapaxes(image, 0, 1) if self.transposed else image
        turned = turned[:, ::-1] if self.mirrored else turned
        turned = turned[::-1] if self.flipped else turned
        return np.ascontiguousarray(turned)


UPRIGHT = Orientation()
_EXIF = {
    2: Orientation(mirrored=True),
    3: Orientation(mirrored=True, flipped=True),
    4: Orientation(flipped=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirrored=True),
    7: Orientation(transposed=True, mirrored=True, flipped=True),
    8: Orientation(transposed=True, flipped=True),
}
_EXIF_OF_ROTATION = {-90: 6, 90: 8, 180: 3, -180: 3}
"""By degrees against the clock."""

# Of a profile's name, which only this decoder notes, PyAV 18 frees the memory twice.
_NAMED_PROFILES = ("png", "apng")


def orientation_of(frame: av.VideoFrame, codec: str) -> Orientation | None:
    """The orientation that a frame out of a decoder asks for; None where it would be slanted.

    Where PyAV cannot show what goes along with a frame, such as EXIF, a mirrored one is taken to be
    turned only.
    """
    turned = Orientation.of_exif(_EXIF_OF_ROTATION.get(frame.rotation, 1))
    if codec in _NAMED_PROFILES:
        return turned
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # it has no name for something that FFmpeg 8 hands out
        return turned
    return UPRIGHT if matrix is None else Orientation.of_matrix(bytes(matrix))
