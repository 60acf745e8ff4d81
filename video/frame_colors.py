"""Frames out of a decoder brought to RGB of BT.709, whatever their tones and primaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from video.color import frame_to_rgb, has_alpha
from video.color_profile import ColorProfile
from video.hdr import ToneMap, hdr_kind
from video.primaries import WIDE_PRIMARIES, profile_of_primaries

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

    from video.reading_remarks import ReadingRemarks

__all__ = ["FrameColors"]

_TAGS = ("colorspace", "color_primaries", "color_trc")
_UNSPECIFIED = 2


class FrameColors:
    """Converts the frames of one video, and notes in its remarks what of that is to be said.

    Args:
        remarks: On the video.
        context: Of the decoder, before it has decoded anything: it knows what the container says.
        profile: What the file says its colours mean; None where it says nothing.
    """

    def __init__(
        self,
        remarks: ReadingRemarks,
        context: av.VideoCodecContext,
        profile: ColorProfile | None,
    ) -> None:
        self._remarks, self._profile = remarks, profile
        self._said = {name: getattr(context, name) for name in _TAGS}
        self._tone_map: ToneMap | None = None

    def to_rgb(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3) RGB of a frame, or (H, W, 4) where it has alpha."""
        for name, said in self._said.items():
            if getattr(frame, name) == _UNSPECIFIED:  # ProRes may leave them to the container
                setattr(frame, name, said)
        kind = hdr_kind(frame)
        if kind is not None:
            return self._mapped(frame, kind)
        image = frame_to_rgb(frame)
        profile = self._profile or self._profile_of(int(frame.color_primaries))
        return image if profile is None else profile.applied(image)

    def _mapped(self, frame: av.VideoFrame, kind: str) -> NDArray[np.uint8]:
        if self._remarks.hdr is None:
            self._tone_map = ToneMap.of(frame)
            self._remarks.hdr, self._remarks.is_mapped = kind, self._tone_map is not None
        tones = self._tone_map
        if tones is None or tones.size != (frame.width, frame.height):
            return frame_to_rgb(frame)
        image = tones.to_rgb(frame)
        if has_alpha(frame):
            return np.dstack((image, frame_to_rgb(frame)[..., 3]))
        return image

    def _profile_of(self, primaries: int) -> ColorProfile | None:
        name = WIDE_PRIMARIES.get(primaries)
        if name is None:
            return None
        if self._remarks.wide_colors is None:
            self._remarks.wide_colors = name
            self._profile = ColorProfile.of(profile_of_primaries(primaries))
        return self._profile
