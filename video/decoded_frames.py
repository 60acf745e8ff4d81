"""Decoded frames of a video, from whichever is asked for on."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, dropwhile
from typing import TYPE_CHECKING, Final, Self, cast

import av

from video.demux import open_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer

__all__ = ["DecodedFrames", "FrameIndex"]

_ALPHA_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_INDEXED: Final = ("h264", "hevc", "vp9", "av1", "prores", "ffv1", "mjpeg", "dnxhd")
"""Codecs of which each packet is a frame that is shown."""

_NEAR: Final = 24
"""Frames that are sooner passed over than a key frame is looked for."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """When each frame is shown, and which of them can be decoded without those before.

    Attributes:
        times: In ticks of the stream, rising.
        keys: The numbers of key frames, rising.
    """

    times: tuple[int, ...]
    keys: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, stream_index: int) -> Self | None:
        """The index of a file, which is gone through once, and not decoded.

        Returns:
            None where packets do not tell for certain which frames there are.
        """
        times: list[int] = []
        keys: list[int] = []
        with closing(open_input(path)) as container:
            stream = container.streams[stream_index]
            try:
                for packet in container.demux(stream):
                    if not packet.size:
                        continue
                    if packet.pts is None or packet.is_corrupt or packet.is_discard:
                        return None
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
            except av.FFmpegError:
                return None
            promised = stream.frames
        times.sort()
        numbers = {pts: number for number, pts in enumerate(times)}
        if len(numbers) != len(times) or promised not in (0, len(times)):
            return None
        return cls(tuple(times), tuple(sorted(numbers[pts] for pts in keys)))

    def key_before(self, number: int) -> int | None:
        """The last key frame up to a frame; None if there is none."""
        place = bisect_right(self.keys, number)
        return self.keys[place - 1] if place else None


class DecodedFrames:
    """An iterator over the frames of a stream, which can go on at another frame.

    Args:
        path: The file.
        container: The same, opened.
        stream: The stream of it.

    Attributes:
        number: That of the frame that comes next.
    """

    def __init__(self, path: Path, container: InputContainer, stream: av.VideoStream) -> None:
        self._path, self._container, self._stream = path, container, stream
        self.number = 0
        self._alpha = _alpha_decoder(stream)
        self._frames = self._decoded()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> av.VideoFrame:
        frame = next(self._frames)
        self.number += 1
        return frame

    def counted(self) -> int | None:
        """How many there are in all; None where that cannot be told without decoding them."""
        return None if self._index is None else len(self._index.times)

    def go_towards(self, number: int) -> bool:
        """Go to a frame, or to one before it from which there is no shorter way.

        Returns:
            Whether it can be reached: where not, the file has to be opened anew. That is so for one
            that is behind where there is no index, or where decoding from a key frame on begins
            with another frame, as it does where a picture is refreshed bit by bit.
        """
        if self.number <= number <= self.number + _NEAR:
            return True
        is_ahead = self.number <= number
        index = self._index
        key = None if index is None else index.key_before(number)
        if index is None or key is None or number >= len(index.times):
            return is_ahead
        if is_ahead and key <= self.number:
            return True
        return self._jump(index.times[key], key)

    def _jump(self, time: int, number: int) -> bool:
        self._container.seek(time, stream=self._stream)
        frames = dropwhile(lambda frame: frame.pts is None or frame.pts < time, self._decoded())
        first = next(frames, None)
        if first is None or first.pts != time:
            return False
        self._frames, self.number = chain((first,), frames), number
        return True

    @cached_property
    def _index(self) -> FrameIndex | None:
        """The index, if a decoder can begin in the middle."""
        if (
            self._alpha is not None
            or self._stream.codec_context.codec.canonical_name not in _INDEXED
        ):
            return None
        return FrameIndex.of(self._path, self._stream.index)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Frames, with the alpha of WebM, which FFmpeg's own decoders leave out."""
        if self._alpha is None:
            return self._container.decode(self._stream)
        decoder = self._alpha
        packets = self._container.demux(self._stream)
        return (frame for packet in packets for frame in decoder.decode(packet))


def _alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    # A remuxed file may say it in capitals.
    said = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or said.get("alpha_mode") != "1" or name not in av.codecs_available:
        return None
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))
    decoder.options = stream.codec_context.options
    return decoder
