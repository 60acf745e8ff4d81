"""Frames of high dynamic range brought to BT.709, as pictures for every screen have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import av
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["HDR_KINDS", "ToneMap", "hdr_kind"]

HDR_KINDS = {16: "PQ", 18: "HLG"}
"""Transfer curves of H.273 that reach beyond what a screen shows."""

_FILTER_NAMES = {16: "smpte2084", 18: "arib-std-b67"}

_CONSTANT_LUMINANCE = 10
_FULL = 2
_BT709_OUT = "out_transfer=bt709:out_primaries=bt709:intent=perceptual"


def hdr_kind(frame: av.VideoFrame) -> str | None:
    """The kind of high dynamic range that a decoded frame has, "PQ" or "HLG", or None."""
    return HDR_KINDS.get(int(frame.color_trc))


class ToneMap:
    """FFmpeg's mapping of tones and of BT.2020's colours to BT.709, frame by frame.

    It takes seconds to be prepared, which the first frame waits for.

    Args:
        like: a frame of the video, which tells the kind.

    Attributes:
        size: width and height of the frames that it takes, in pixels.
    """

    def __init__(self, like: av.VideoFrame) -> None:
        self.size = like.width, like.height
        transfer = _FILTER_NAMES[int(like.color_trc)]
        matrix = "bt2020c" if int(like.colorspace) == _CONSTANT_LUMINANCE else "bt2020nc"
        given = f"in_transfer={transfer}:in_primaries=bt2020:in_color_matrix={matrix}"
        ranges = f"in_range={'pc' if int(like.color_range) == _FULL else 'tv'}:out_range=pc"
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=like.time_base
        )
        scale = self._graph.add("scale", f"{given}:{ranges}:{_BT709_OUT}")
        rgb = self._graph.add("format", "pix_fmts=rgb24")
        self._graph.link_nodes(source, scale, rgb, self._graph.add("buffersink")).configure()

    @classmethod
    def of(cls, like: av.VideoFrame) -> Self | None:
        """A mapping for frames like one; None where FFmpeg, before version 8, has no such thing."""
        try:
            return cls(like)
        except (av.FFmpegError, ValueError):
            return None

    def to_rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of a decoded frame."""
        self._graph.vpush(frame)
        image: NDArray[np.uint8] = np.ascontiguousarray(self._graph.vpull().to_ndarray())
        return image
