"""Decoded frames of a video, from whichever is asked for on."""

from __future__ import annotations

from itertools import chain, dropwhile
from typing import TYPE_CHECKING, Final, Self, cast

import av

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer

    from video.key_frames import KeyFrames

__all__ = ["DecodedFrames", "is_indexed"]

_ALPHA_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_INDEXED: Final = ("h264", "hevc", "vp9", "av1", "prores", "ffv1", "mjpeg", "dnxhd")
"""Codecs of which each packet is a frame that is shown."""

_NEAR: Final = 24
"""Frames that are sooner passed over than a key frame is looked for."""


class DecodedFrames:
    """An iterator over the frames of a stream, which can go on at another frame.

    Args:
        container: The file, opened.
        stream: The stream of it.
        keys: Where decoding can begin; None where that is not known.

    Attributes:
        number: That of the frame that comes next.
    """

    def __init__(
        self, container: InputContainer, stream: av.VideoStream, keys: KeyFrames | None
    ) -> None:
        self._container, self._stream, self._keys = container, stream, keys
        self.number = 0
        self._alpha = _alpha_decoder(stream)
        self._frames = self._decoded()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> av.VideoFrame:
        frame = next(self._frames)
        self.number += 1
        return frame

    def go_towards(self, number: int) -> bool:
        """Go to a frame, or to one before it from which there is no shorter way.

        Returns:
            Whether it can be reached: where not, the file has to be opened anew. That is so for one
            that is behind where no key frame is known, or where decoding from one on begins with
            another frame, as it does where a picture is refreshed bit by bit.
        """
        is_ahead = self.number <= number
        if is_ahead and number <= self.number + _NEAR:
            return True
        key = None if self._keys is None else self._keys.before(number)
        if key is None or (is_ahead and key[0] <= self.number):
            return is_ahead
        return self._jump(*key)

    def _jump(self, number: int, time: int) -> bool:
        try:
            self._container.seek(time, stream=self._stream)
            frames = dropwhile(lambda frame: frame.pts is None or frame.pts < time, self._decoded())
            first = next(frames, None)
        except av.FFmpegError:
            first = None
        if first is None or first.pts != time:
            if self._keys is not None:
                self._keys.doubt()
            return False
        self._frames, self.number = chain((first,), frames), number
        return True

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Frames, with the alpha of WebM, which FFmpeg's own decoders leave out."""
        if self._alpha is None:
            return self._container.decode(self._stream)
        decoder = self._alpha
        packets = self._container.demux(self._stream)
        return (frame for packet in packets for frame in decoder.decode(packet))


def is_indexed(stream: av.VideoStream) -> bool:
    """Whether a decoder of a stream can begin at a key frame, and packets tell of all frames."""
    is_known = stream.codec_context.codec.canonical_name in _INDEXED
    return is_known and _alpha_decoder(stream) is None


def _alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    # A remuxed file may say it in capitals.
    said = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or said.get("alpha_mode") != "1" or name not in av.codecs_available:
        return None
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))
    decoder.options = stream.codec_context.options
    return decoder
