"""The sound of a video: the first audio stream of another file, copied where that is possible.

Sound is read and written alongside the pictures, never ahead of them, so that neither the muxer nor
we hold more of it than a moment's worth; and it ends where the pictures end (copied sound to the
packet, about 20 ms; plain samples and re-encoded sound to the millisecond).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import av

from video.closing import Closing
from video.demux import open_input, require_decoder
from video.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer, OutputContainer

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
_LEAST_RATE, _MOST_RATE = 1000, 4_000_000
_EARLY_PACKETS = 4
"""Packets before the first that is heard: AAC needs one of them, MP3 a few."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A packet or a frame of sound, and when it is heard."""

    start_seconds: Fraction
    end_seconds: Fraction
    content: av.Packet[av.AudioStream] | av.AudioFrame


class AudioTrack(Closing):
    """The first audio stream of the file ``source``, to go into a ``container_format``.

    What is heard before ``start_seconds`` is left out, and the rest is heard that much earlier:
    exactly where sound is encoded anew, is plain samples, or goes into .mp4 or .mov; where it is
    copied into .mkv or .webm, which cannot hide a part of a packet, from the next packet on.

    Open it before the output is created, ``attach`` it, ``advance`` it as pictures are written,
    ``finish`` it, and ``close`` it whatever happens.

    Raises:
        InputError: if ``source`` cannot be read or holds no sound, or a ``container_format``
            holds none.
    """

    def __init__(
        self, source: Path, container_format: str, start_seconds: Fraction = Fraction(0)
    ) -> None:
        if container_format not in _COPIES:
            raise InputError(
                f"a {container_format} holds no sound; found audio '{source}': leave it out, or"
                " write .mp4, .mov, .mkv or .webm"
            )
        self._source = source
        self._format = container_format
        self._input = open_input(source)
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        # From where the source begins: its own pictures, if it has any, are then in step with ours.
        self._origin = Fraction(self._input.start_time or 0, av.time_base) + start_seconds
        self._begins_within = start_seconds > 0

    def _check(self) -> None:
        if not self._input.streams.audio:
            raise InputError(f"expected a file with sound; found none in '{self._source}'")
        stream = self._input.streams.audio[0]
        require_decoder(stream, self._source)
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        if channels < 1 or not _LEAST_RATE <= rate <= _MOST_RATE:
            raise InputError(
                f"expected sound of {_LEAST_RATE} to {_MOST_RATE} samples a second in"
                f" '{self._source}'; found {channels} channels of {rate}; is it complete?"
            )

    def attach(self, container: OutputContainer) -> None:
        """Add the stream to ``container``, before its first packet is written."""
        source = self._input.streams.audio[0]
        codec = source.codec_context.codec.canonical_name
        self._is_copied = codec in _COPIES[self._format]
        if self._is_copied:
            self._stream = container.add_stream_from_template(source)
            # AAC begins with a packet before zero that is not for hearing. MP4 says so; Matroska
            # would put everything else off by as much, the pictures too. Opus has a field for it
            # in both.
            takes_early_sound = codec == "opus" or self._format in ("mp4", "mov")
            if self._begins_within:
                takes_early_sound = self._format in ("mp4", "mov")
            self._pieces = _copied(
                self._input, self._stream, self._origin, takes_early_sound=takes_early_sound
            )
        else:
            self._stream = _add_encoder(container, _ENCODERS[self._format], source.codec_context)
            self._pieces = _decoded(self._input, self._stream.codec_context, self._origin)
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
            yield from self._packets(self._next, until_seconds)
            self._next = self._read()

    def finish(self, end_seconds: Fraction) -> Iterator[av.Packet[Any]]:
        """The packets that remain up to ``end_seconds``, where the pictures end."""
        while self._next is not None and self._next.start_seconds < end_seconds:
            yield from self._packets(self._next, end_seconds)
            self._next = self._read()
        if not self._is_copied:
            yield from self._stream.encode(None)

    def _packets(self, piece: _Piece, stop_seconds: Fraction) -> list[av.Packet[Any]]:
        """Packets of ``piece``, without what comes after ``stop_seconds`` where it can be cut."""
        if isinstance(piece.content, av.Packet):
            context = self._input.streams.audio[0].codec_context
            if piece.end_seconds <= stop_seconds or not _is_plain(context):
                return [piece.content]
            part = _samples_of(piece.content, context, piece.start_seconds, stop_seconds)
            part.stream = self._stream
            return [part]
        frame = piece.content
        if piece.end_seconds > stop_seconds:
            count = int((stop_seconds - piece.start_seconds) * frame.sample_rate)
            if count == 0:
                return []
            frame = _part(frame, 0, count)
        return list(self._stream.encode(frame))

    def close(self) -> None:
        """Close the source."""
        self._input.close()


def _copied(
    source: InputContainer, stream: av.AudioStream, origin: Fraction, *, takes_early_sound: bool
) -> Iterator[_Piece]:
    """Packets as they are, for ``stream``, under new times; read as they are asked for.

    Of those before ``origin`` the last ones go along, if that is possible: a decoder needs them for
    the first that is heard.
    """
    early: deque[_Piece] = deque(maxlen=_EARLY_PACKETS)
    context = source.streams.audio[0].codec_context
    for packet in source.demux(source.streams.audio[0]):
        if packet.pts is None or packet.dts is None:
            continue
        offset = round(origin / packet.time_base)
        packet.pts -= offset
        packet.dts -= offset
        packet.stream = stream
        start = packet.pts * packet.time_base
        end = start + (packet.duration or 0) * packet.time_base
        if start >= 0:
            while early:
                yield early.popleft()
            yield _Piece(start, end, packet)
        elif takes_early_sound:
            early.append(_Piece(start, end, packet))
        elif end > 0 and _is_plain(context):
            part = _samples_of(packet, context, Fraction(0), end)
            part.stream = stream
            yield _Piece(Fraction(0), end, part)


def _is_plain(context: av.AudioCodecContext) -> bool:
    """Whether packets hold plain samples, so that they can be cut anywhere."""
    return context.codec.canonical_name.startswith("pcm_")


def _samples_of(
    packet: av.Packet[Any], context: av.AudioCodecContext, start: Fraction, stop: Fraction
) -> av.Packet[Any]:
    """The samples of a packet of plain ones that are heard from ``start`` to ``stop`` (seconds)."""
    begin = (packet.pts or 0) * packet.time_base
    bytes_each = context.format.bytes * context.layout.nb_channels
    first, last = (round((time - begin) * context.sample_rate) for time in (start, stop))
    part: av.Packet[Any] = av.Packet(bytes(packet)[first * bytes_each : last * bytes_each])
    part.time_base = packet.time_base
    part.pts = part.dts = round(start / packet.time_base)
    part.duration = round((stop - start) / packet.time_base)
    return part


def _add_encoder(
    container: OutputContainer, encoder: str, source: av.AudioCodecContext
) -> av.AudioStream:
    """A stream that encodes sound such as that of ``source`` anew; mono stays mono."""
    rate = _OPUS_RATE if encoder == "libopus" else min(source.sample_rate, _MAX_AAC_RATE)
    stream = cast("av.AudioStream", container.add_stream(encoder, rate=rate))
    context = stream.codec_context
    context.layout = "mono" if source.layout.nb_channels == 1 else "stereo"
    context.bit_rate = _BIT_RATE_PER_CHANNEL * context.layout.nb_channels
    context.time_base = Fraction(1, rate)
    context.open()
    return stream


def _decoded(
    source: InputContainer, encoder: av.AudioCodecContext, origin: Fraction
) -> Iterator[_Piece]:
    """Frames brought to what ``encoder`` takes, without gaps, from ``origin`` on.

    They are decoded as they are asked for.
    """
    tick = Fraction(1, encoder.sample_rate)
    resampler = av.AudioResampler(encoder.format, encoder.layout, encoder.sample_rate)
    frames = source.decode(audio=0)
    first = next(frames, None)
    if first is None:
        return
    start_seconds = Fraction(first.pts or 0) * (first.time_base or tick)
    start = round((start_seconds - origin) / tick)
    for frame in chain((first,), frames, (None,)):
        for resampled in resampler.resample(frame):
            if resampled is None:
                return
            resampled.pts, resampled.time_base = start, tick
            end = start + resampled.samples
            if end > 0:
                heard = resampled if start >= 0 else _part(resampled, -start, end)
                yield _Piece(max(start, 0) * tick, end * tick, heard)
            start = end


def _part(frame: av.AudioFrame, skipped: int, count: int) -> av.AudioFrame:
    """Of ``frame`` the ``count`` samples behind the first ``skipped``, at their time."""
    start, frame.pts = frame.pts, None
    samples = av.AudioFifo()
    samples.write(frame)
    if skipped:
        samples.read(skipped)
    cut = cast("av.AudioFrame", samples.read(count))
    cut.pts, cut.time_base = (start or 0) + skipped, frame.time_base
    return cut
