"""RGB arrays to the frames an encoder takes, and decoded frames back to RGB.

Luma and full-size chroma come from swscale, which rounds correctly between RGB and 4:4:4 (within
0.51 of a level of the exact formula). It is not asked to halve chroma: its filters put the samples
between two pixels, while H.264, HEVC and the rest put them over the left one unless told
otherwise. That step is done here, so that the picture agrees with its tag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np

from video.errors import InputError
from video.spec import BT709, ColorTags
from video.yuv import YuvFormat, YuvFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "check_image",
    "frame_to_rgb",
    "has_alpha",
    "pad_to",
    "planes_to_frame",
    "rgb_to_frame",
    "set_tags",
]

# swscale's flags: bicubic, full chroma in and out, accurate rounding. Given as numbers, since not
# every PyAV accepts the names combined.
_ACCURATE = 0x4 | 0x2000 | 0x4000 | 0x40000
_LIMITED, _FULL = 1, 2
# swscale knows one set of coefficients under each of these numbers of H.273; 6 equals 5.
_MATRIX_TO_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_UNSPECIFIED_MATRIX = 2
_HD_HEIGHT = 720

_INTERMEDIATE: dict[str, tuple[str, np.dtype[Any]]] = {
    "yuv420p": ("yuv444p", np.dtype(np.uint8)),
    "yuva420p": ("yuva444p", np.dtype(np.uint8)),
    "nv12": ("yuv444p", np.dtype(np.uint8)),
    "yuv422p10le": ("yuv444p10le", np.dtype("<u2")),
    "yuv444p10le": ("yuv444p10le", np.dtype("<u2")),
    "yuva444p10le": ("yuva444p10le", np.dtype("<u2")),
}


def check_image(image: object, *, width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    """Return ``image`` if it is uint8 of shape (height, width, channels), else raise InputError."""
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"expected a numpy array ({height}, {width}, {channels}) of uint8; found"
            f" {type(image).__name__}"
        )
    if image.shape != (height, width, channels) or image.dtype != np.uint8:
        raise InputError(
            f"expected a frame of shape ({height}, {width}, {channels}) and dtype uint8;"
            f" found shape {image.shape} and dtype {image.dtype}"
        )
    return image


def pad_to(image: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """Repeat the last row and column of (H, W, channels) until it is (height, width, channels).

    Example:
        >>> pad_to(np.zeros((3, 5, 3), np.uint8), width=6, height=4).shape
        (4, 6, 3)
    """
    rows, columns = height - image.shape[0], width - image.shape[1]
    if rows == 0 and columns == 0:
        return image
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")


def rgb_to_frame(
    image: NDArray[np.uint8], pixel_format: str, tags: ColorTags = BT709
) -> av.VideoFrame:
    """Convert (H, W, 3) RGB to a frame of ``pixel_format``, with the matrix and range of ``tags``.

    (H, W, 4) RGBA is for formats with alpha.

    Example:
        >>> frame = rgb_to_frame(np.full((2, 2, 3), 255, np.uint8), "yuv420p")
        >>> bytes(frame.planes[0])[0], bytes(frame.planes[1])[0]
        (235, 128)
    """
    stored = "rgba" if image.shape[2] == 4 else "rgb24"
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=stored)
    if pixel_format == stored:
        return source
    if pixel_format not in _INTERMEDIATE:
        return source.reformat(format=pixel_format, interpolation=_ACCURATE)
    full_format, dtype = _INTERMEDIATE[pixel_format]
    full = source.reformat(
        format=full_format,
        interpolation=_ACCURATE,
        dst_colorspace=_MATRIX_TO_SWSCALE[tags.matrix],
        src_color_range=_FULL,
        dst_color_range=tags.range_code,
    )
    if pixel_format == full_format:
        set_tags(full, tags)
        return full
    is_halved_down = pixel_format != "yuv422p10le"
    luma, *chroma = (_plane(full, index, dtype) for index in range(3))
    planes = [luma, *(_halve(plane, vertical=is_halved_down) for plane in chroma)]
    if stored == "rgba":
        planes.append(_plane(full, 3, dtype))
    if pixel_format == "nv12":
        planes[1:] = [np.dstack(planes[1:]).reshape(len(planes[1]), -1)]
    return _frame_of(planes, pixel_format, (source.width, source.height), tags)


def planes_to_frame(planes: YuvFrame, layout: YuvFormat) -> av.VideoFrame:
    """Planes that were converted elsewhere as a frame with the tags of ``layout``.

    Raises:
        InputError: if they are not the planes of ``layout``.

    Example:
        >>> layout = YuvFormat("yuv420p", width=2, height=2)
        >>> gray = YuvFrame(tuple(np.full(shape, 128, np.uint8) for shape in layout.shapes))
        >>> frame_to_rgb(planes_to_frame(gray, layout))[0, 0]
        array([130, 130, 130], dtype=uint8)
    """
    planes.check(layout)
    size = (layout.width, layout.height)
    return _frame_of(planes.planes, layout.pixel_format, size, layout.tags)


def _frame_of(
    planes: Sequence[NDArray[Any]], pixel_format: str, size: tuple[int, int], tags: ColorTags
) -> av.VideoFrame:
    frame = av.VideoFrame(*size, pixel_format)
    for index, samples in enumerate(planes):
        _plane(frame, index, samples.dtype)[:] = samples
    set_tags(frame, tags)
    return frame


def set_tags(target: av.VideoFrame | av.VideoCodecContext, tags: ColorTags) -> None:
    """Tell the colours of an encoder's stream, or of a frame: ProRes takes some from each."""
    target.colorspace = tags.matrix
    target.color_range = tags.range_code
    target.color_primaries = tags.primaries
    target.color_trc = tags.transfer


def frame_to_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Convert a decoded frame to (H, W, 3) RGB by its own tags, or to (H, W, 4) if it has alpha.

    Without a matrix tag, BT.709 is assumed from 720 rows on and BT.601 below; without a range tag,
    limited range, unless the pixel format says otherwise.
    """
    target = "rgba" if has_alpha(frame) else "rgb24"
    if frame.format.is_rgb:
        return _owned(frame.reformat(format=target, interpolation=_ACCURATE))
    matrix = int(frame.colorspace)
    if matrix == _UNSPECIFIED_MATRIX:
        matrix = 1 if frame.height >= _HD_HEIGHT else 6
    declared = int(frame.color_range)
    is_full = declared == _FULL or (declared != _LIMITED and frame.format.name.startswith("yuvj"))
    return _owned(
        frame.reformat(
            format=target,
            interpolation=_ACCURATE,
            src_colorspace=_MATRIX_TO_SWSCALE.get(matrix, 1),
            src_color_range=_FULL if is_full else _LIMITED,
            dst_color_range=_FULL,
        )
    )


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether the pixel format of a frame has an alpha channel, or a palette that may have one."""
    pixels = frame.format
    return pixels.has_palette or any(component.is_alpha for component in pixels.components)


def _owned(frame: av.VideoFrame) -> NDArray[np.uint8]:
    image: NDArray[np.uint8] = np.ascontiguousarray(frame.to_ndarray(), dtype=np.uint8)
    return image


def _plane(frame: av.VideoFrame, index: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A writable view of one plane, without the bytes that pad its rows."""
    plane = frame.planes[index]
    samples: NDArray[Any] = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    is_interleaved = frame.format.name == "nv12" and index == 1
    return samples[:, : plane.width * (2 if is_interleaved else 1)]


def _halve(plane: NDArray[Any], *, vertical: bool) -> NDArray[Any]:
    """Halve chroma across, weighing 1:2:1 around every other column; and down, by the mean."""
    if vertical:
        if plane.shape[0] % 2:
            plane = np.concatenate((plane, plane[-1:]))
        total = plane[0::2].astype(np.uint16)
        total += plane[1::2]
    else:
        total = plane.astype(np.uint16)
    if total.shape[1] % 2:
        total = np.concatenate((total, total[:, -1:]), axis=1)
    even, odd = total[:, 0::2], total[:, 1::2]
    weighed = even << 1
    weighed += odd
    weighed[:, 1:] += odd[:, :-1]
    weighed[:, 0] += even[:, 0]
    shift = 3 if vertical else 2
    # Halves go to the even neighbour: always up would brighten every plane a little.
    weighed += ((weighed >> shift) & 1) + ((1 << (shift - 1)) - 1)
    weighed >>= shift
    halved: NDArray[Any] = weighed.astype(plane.dtype)
    return halved
