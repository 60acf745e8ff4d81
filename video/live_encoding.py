"""H.264 for viewers who watch while it is made: picture by picture, without delay."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av

from video.closing import Closing
from video.codecs import CODECS, GENERIC_HARDWARE, Codec, Encoder
from video.encoding import StreamEncoder, pick_encoder
from video.errors import OutputError, first_line
from video.spec import ColorTags, VideoSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EncodedPicture", "LiveEncoder"]

TICKS_PER_SECOND: Final = 90_000
"""Of the clock of RTP (RFC 6184)."""

_BT601 = ColorTags(matrix=6)
"""Browsers that convert on the CPU (libyuv) take BT.601 within a level, but round BT.709's factor
for blue from 2.11 to 2: a blue of 220 is shown as 212."""

_SOFTWARE_OPTIONS = (("preset", "veryfast"), ("profile", "main"))
_QUALITY: Final = 18
_USUAL_RATE: Final = Fraction(30)
_MOST_THREADS: Final = 4

# Bits per second: as many for each pixel of a picture as leave noise its grain, within what a
# household's network carries.
_BITS_PER_PIXEL: Final = 12
_LEAST_BITS, _MOST_BITS = 4_000_000, 20_000_000


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One picture as it is sent.

    Attributes:
        data: H.264 with start codes; a key picture brings its parameter sets along.
        pts: When it is shown, in ticks of ``TICKS_PER_SECOND``.
        is_key: Whether it needs none before it.
    """

    data: bytes
    pts: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class _LiveSpec(VideoSpec):
    """The spec of a stream that is bounded in bits, and tagged for browsers."""

    def color_tags(self, encoder: Encoder) -> ColorTags:
        return _BT601

    def encoder_options(self, encoder: Encoder) -> dict[str, str]:
        bits = min(max(_BITS_PER_PIXEL * self.width * self.height, _LEAST_BITS), _MOST_BITS)
        # A slot of half a second: a key picture of noise may take more than a frame's share.
        bounds = {"maxrate": str(bits), "bufsize": str(bits // 2)}
        return VideoSpec.encoder_options(self, encoder) | bounds


class LiveEncoder(Closing):
    """Encodes pictures of one size, each of which comes out before the next one goes in.

    The first of the hardware's encoders that opens here, or else x264.

    Args:
        width, height: Pixels of every picture.

    Raises:
        InputError: No encoder opens for this size.

    >>> import numpy as np
    >>> with LiveEncoder(64, 48) as encoder:
    ...     first = encoder.encode(np.zeros((48, 64, 3), np.uint8), 0)
    ...     second = encoder.encode(np.zeros((48, 64, 3), np.uint8), 3000)
    >>> [(each.pts, each.is_key) for each in (*first, *second)]
    [(0, True), (3000, False)]
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        specs = [_spec(width, height, CODECS[name]) for name in GENERIC_HARDWARE["h264_hw"]]
        spec, encoder = pick_encoder([*specs, _spec(width, height, _quick(CODECS["h264"]))])
        self.name = encoder.name
        # A container that writes nothing, and whose pictures hold their own parameter sets.
        self._holder = av.open(os.devnull, "w", format="null")
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        self._encoding = StreamEncoder(self._holder, spec, encoder, threads=threads)

    def encode(
        self, image: NDArray[np.uint8], pts: int, *, is_key: bool = False
    ) -> tuple[EncodedPicture, ...]:
        """Encode one picture.

        Args:
            image: (H, W, 3) RGB bytes.
            pts: In ticks, later than the one before.
            is_key: Whether it must need none before it.

        Raises:
            OutputError: The encoder fails.
        """
        try:
            packets = self._encoding.encode_at(image, pts, is_key=is_key)
        except av.FFmpegError as error:
            raise OutputError(f"live video: {self.name} fails: {first_line(error)}") from error
        return tuple(
            EncodedPicture(
                bytes(packet), pts if packet.pts is None else packet.pts, packet.is_keyframe
            )
            for packet in packets
        )

    def close(self) -> None:
        """Let go of the encoder."""
        self._holder.close()


def _spec(width: int, height: int, codec: Codec) -> _LiveSpec:
    return _LiveSpec(
        *(width, height, _USUAL_RATE, codec, _QUALITY if codec.software is None else None),
        low_delay=True,
        ticks_per_second=TICKS_PER_SECOND,
    )


def _quick(codec: Codec) -> Codec:
    """A codec whose software encoder is in a hurry."""
    return dataclasses.replace(
        codec, encoders=tuple(replace(each, options=_SOFTWARE_OPTIONS) for each in codec.encoders)
    )
