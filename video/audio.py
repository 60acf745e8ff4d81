"""The sound of a video: the first audio stream of another file, copied where that is possible.

Sound is read and written alongside the pictures, never ahead of them, so that neither the muxer nor
we hold more of it than a moment's worth; and it ends where the pictures end (copied sound to the
packet, about 20 ms; re-encoded sound to the millisecond).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, cast

import av
import numpy as np

from video.demux import open_input
from video.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer, OutputContainer
    from numpy.typing import NDArray

__all__ = ["AudioTrack"]

# What players of each container can be trusted with; FFmpeg would put more into some of them.
_COPIES = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le"},
    "matroska": {"aac", "mp3", "ac3", "eac3", "opus", "vorbis", "flac", "pcm_s16le", "pcm_s24le"},
    "webm": {"opus", "vorbis"},
}
_ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
_BIT_RATE_PER_CHANNEL = 96_000
_OPUS_RATE = 48_000
_MAX_AAC_RATE = 48_000


@dataclass(frozen=True, slots=True)
class _Piece:
    """A packet or a frame of sound, and when it is heard."""

    start_seconds: Fraction
    end_seconds: Fraction
    content: av.Packet[av.AudioStream] | av.AudioFrame


class _Feed(Protocol):
    """A way of making packets of the output out of the source."""

    def pieces(self) -> Iterator[_Piece]:
        """The sound of the source, in order, read as it is asked for."""
        ...

    def packets(self, piece: _Piece, stop_seconds: Fraction | None) -> list[av.Packet[Any]]:
        """Packets to write for ``piece``, without what comes after ``stop_seconds``."""
        ...

    def flush(self) -> list[av.Packet[Any]]:
        """Packets still held back."""
        ...


class AudioTrack:
    """The first audio stream of the file ``source``, to go into a ``container_format``.

    Open it before the output is created, ``attach`` it, ``advance`` it as pictures are written,
    ``finish`` it, and ``close`` it whatever happens.

    Raises:
        InputError: if ``source`` cannot be read or holds no sound, or a ``container_format``
            holds none.
    """

    def __init__(self, source: Path, container_format: str) -> None:
        if container_format not in _COPIES:
            raise InputError(
                f"a {container_format} holds no sound; found audio '{source}': leave it out, or"
                " write .mp4, .mov, .mkv or .webm"
            )
        self._source = source
        self._format = container_format
        self._input = open_input(source)
        if not self._input.streams.audio:
            self._input.close()
            raise InputError(f"expected a file with sound; found none in '{source}'")

    def attach(self, container: OutputContainer) -> None:
        """Add the stream to ``container``, before its first packet is written."""
        stream = self._input.streams.audio[0]
        copies = stream.codec_context.codec.canonical_name in _COPIES[self._format]
        self._feed: _Feed = (
            _Copy(self._input, container)
            if copies
            else _Encode(self._input, container, _ENCODERS[self._format])
        )
        self._pieces = self._feed.pieces()
        self._next = self._read()

    def _read(self) -> _Piece | None:
        try:
            return next(self._pieces, None)
        except av.FFmpegError as error:
            raise InputError(
                f"the sound of '{self._source}' cannot be read: {error.strerror}"
            ) from error

    def advance(self, until_seconds: Fraction) -> Iterator[av.Packet[Any]]:
        """Packets of what is over at ``until_seconds``."""
        while self._next is not None and self._next.end_seconds <= until_seconds:
            yield from self._feed.packets(self._next, None)
            self._next = self._read()

    def finish(self, end_seconds: Fraction) -> Iterator[av.Packet[Any]]:
        """The packets that remain up to ``end_seconds``, where the pictures end."""
        while self._next is not None and self._next.start_seconds < end_seconds:
            yield from self._feed.packets(self._next, end_seconds)
            self._next = self._read()
        yield from self._feed.flush()

    def close(self) -> None:
        """Close the source."""
        self._input.close()


def _origin_seconds(source: InputContainer) -> Fraction:
    """When the source begins: its own pictures, if it has any, are then in step with ours."""
    return Fraction(source.start_time or 0, av.time_base)


class _Copy:
    """Packets as they are, under new times."""

    def __init__(self, source: InputContainer, container: OutputContainer) -> None:
        self._source = source
        stream = source.streams.audio[0]
        self._stream = container.add_stream_from_template(stream)
        # AAC begins with a packet before zero that is not for hearing. MP4 says so; Matroska would
        # put everything else off by as much, the pictures too. Opus has a field for it in both.
        self._takes_early_sound = (
            container.format.name in ("mp4", "mov")
            or stream.codec_context.codec.canonical_name == "opus"
        )

    def pieces(self) -> Iterator[_Piece]:
        origin = _origin_seconds(self._source)
        for packet in self._source.demux(self._source.streams.audio[0]):
            if packet.pts is None or packet.dts is None:
                continue
            offset = round(origin / packet.time_base)
            packet.pts -= offset
            packet.dts -= offset
            if packet.pts < 0 and not self._takes_early_sound:
                continue
            start = packet.pts * packet.time_base
            yield _Piece(start, start + (packet.duration or 0) * packet.time_base, packet)

    def packets(self, piece: _Piece, stop_seconds: Fraction | None) -> list[av.Packet[Any]]:
        del stop_seconds  # a packet cannot be cut
        packet = cast("av.Packet[av.AudioStream]", piece.content)
        packet.stream = self._stream
        return [packet]

    def flush(self) -> list[av.Packet[Any]]:
        return []


class _Encode:
    """Decoded, brought to what the encoder takes, and encoded anew; mono stays mono."""

    def __init__(self, source: InputContainer, container: OutputContainer, encoder: str) -> None:
        self._source = source
        context = source.streams.audio[0].codec_context
        rate = _OPUS_RATE if encoder == "libopus" else min(context.sample_rate, _MAX_AAC_RATE)
        layout = "mono" if context.layout.nb_channels == 1 else "stereo"
        self._stream = cast("av.AudioStream", container.add_stream(encoder, rate=rate))
        encoding = self._stream.codec_context
        encoding.layout = layout
        encoding.bit_rate = _BIT_RATE_PER_CHANNEL * encoding.layout.nb_channels
        encoding.time_base = Fraction(1, rate)
        encoding.open()
        self._rate = rate
        self._resampler = av.AudioResampler(encoding.format, layout, rate)

    def pieces(self) -> Iterator[_Piece]:
        origin = _origin_seconds(self._source)
        position: int | None = None
        for frame in self._source.decode(audio=0):
            if position is None:
                start = Fraction(frame.pts or 0) * (frame.time_base or Fraction(1, self._rate))
                position = round((start - origin) * self._rate)
            for piece in self._resampled(frame, position):
                position += cast("av.AudioFrame", piece.content).samples
                yield piece
        if position is not None:
            yield from self._resampled(None, position)

    def _resampled(self, frame: av.AudioFrame | None, position: int) -> Iterator[_Piece]:
        for resampled in self._resampler.resample(frame):
            if resampled is None:
                return
            resampled.pts = position
            resampled.time_base = Fraction(1, self._rate)
            start = position
            position += resampled.samples
            yield _Piece(Fraction(start, self._rate), Fraction(position, self._rate), resampled)

    def packets(self, piece: _Piece, stop_seconds: Fraction | None) -> list[av.Packet[Any]]:
        frame = cast("av.AudioFrame", piece.content)
        if stop_seconds is not None and piece.end_seconds > stop_seconds:
            keep = int((stop_seconds - piece.start_seconds) * self._rate)
            if keep <= 0:
                return []
            frame = _first_samples(frame, keep)
        return list(self._stream.encode(frame))

    def flush(self) -> list[av.Packet[Any]]:
        return list(self._stream.encode(None))


def _first_samples(frame: av.AudioFrame, count: int) -> av.AudioFrame:
    """The first ``count`` samples of ``frame``, at the same time."""
    array: NDArray[Any] = frame.to_ndarray()
    width = count if frame.format.is_planar else count * frame.layout.nb_channels
    cut = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(array[:, :width]), frame.format.name, frame.layout.name
    )
    cut.sample_rate = frame.sample_rate
    cut.pts = frame.pts
    cut.time_base = frame.time_base
    return cut
