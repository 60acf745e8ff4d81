"""Finished videos, one after the other, into one file: packets are copied, nothing is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from video.audio import AudioTrack
from video.codecs import CONTAINERS
from video.demux import open_input
from video.errors import VideoInputError, VideoWriteError
from video.output import PartFile, check_output, explain_os_error
from video.rates import parse_rate
from video.writer import MUXER_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from av.container import InputContainer, OutputContainer

__all__ = ["JOINABLE", "join_segments"]

JOINABLE = (".mp4", ".mov", ".mkv", ".webm")
"""The suffixes of containers whose packets can be copied from one file to another."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """What is known of a segment before it is copied.

    Attributes:
        path: the file.
        key: what all segments must share: codec, size, pixel format, and the decoder's set-up.
        frames: how many there are.
        delay: by how many frames decoding has to be ahead of showing.
    """

    path: Path
    key: tuple[object, ...]
    frames: int
    delay: int


def join_segments(
    segments: Sequence[Path],
    path: str | PathLike[str],
    *,
    rate: str | int | float | Fraction,
    audio: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Join videos of one kind, each of which begins with a key frame and holds frames at ``rate``.

    Frame ``i`` of the whole is shown at ``i / rate`` seconds, as ``VideoWriter`` would have it. The
    file appears complete or not at all; the segments stay.

    Args:
        segments: the files, in order; of the container of ``path``.
        path: .mp4, .mov, .mkv or .webm.
        audio: a file whose first audio stream goes along, cut at the end of the video.

    Raises:
        VideoInputError: if they do not fit each other, or cannot be read.
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.
        VideoWriteError: if writing fails.
    """
    target, exact_rate = Path(path), parse_rate(rate)
    if target.suffix.lower() not in JOINABLE:
        raise VideoInputError(
            f"expected {', '.join(JOINABLE)}, which segments can be joined into; found"
            f" '{target.name}'"
        )
    if not segments:
        raise VideoInputError(f"expected segments to join into '{target}'; found none")
    check_output(target, overwrite=overwrite)
    known = [_read(segment, exact_rate) for segment in segments]
    for each in known[1:]:
        if each.key != known[0].key:
            raise VideoInputError(
                f"expected every segment to be like '{known[0].path}'; '{each.path}' is of another"
                " codec, size or setting"
            )
    track = None if audio is None else AudioTrack(Path(audio), CONTAINERS[target.suffix.lower()])
    part = PartFile(target)
    try:
        _write(known, part.path, exact_rate, CONTAINERS[target.suffix.lower()], track)
        part.publish(overwrite=overwrite)
    except OSError as error:
        part.discard()
        raise explain_os_error(target, error) from error
    except BaseException:
        part.discard()
        raise
    finally:
        if track is not None:
            track.close()
    return target


def _read(path: Path, rate: Fraction) -> _Segment:
    with open_input(path) as source:
        stream = source.streams.video[0] if source.streams.video else None
        context = None if stream is None else stream.codec_context
        if stream is None or context is None:
            raise VideoInputError(f"expected a whole video at '{path}'; found none or part of one")
        numbers = [number for _, number in _packets(source, rate)]
        delay = max((order - number for order, number in enumerate(numbers)), default=0)
        if sorted(numbers) != list(range(len(numbers))):
            raise VideoInputError(f"expected frames at {rate} a second in '{path}'; found others")
        key = (
            context.name, stream.width, stream.height, str(context.pix_fmt),
            bytes(context.extradata or b""),
        )  # fmt: skip
    return _Segment(path, key, len(numbers), max(0, delay))


def _packets(source: InputContainer, rate: Fraction) -> Iterator[tuple[av.Packet[Any], int]]:
    """Packets in the order in which they are decoded, each with its frame's number."""
    for packet in source.demux(source.streams.video[0]):
        if packet.pts is not None and packet.size:
            yield packet, round(packet.pts * packet.time_base * rate)


def _write(
    segments: Sequence[_Segment],
    part: Path,
    rate: Fraction,
    container_format: str,
    track: AudioTrack | None,
) -> None:
    try:
        with av.open(
            f"file:{part.absolute()}",
            mode="w",
            format=container_format,
            container_options=dict(MUXER_OPTIONS.get(container_format, {})),
        ) as container:
            _copy(segments, container, rate, track)
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise explain_os_error(part, error) from error
        raise VideoWriteError(f"joining segments into '{part}' failed: {error.strerror}") from error


def _copy(
    segments: Sequence[_Segment],
    container: OutputContainer,
    rate: Fraction,
    track: AudioTrack | None,
) -> None:
    delay = max(segment.delay for segment in segments)
    stream: av.VideoStream | None = None
    before = 0
    for segment in segments:
        with open_input(segment.path) as source:
            if stream is None:
                stream = _stream_like(source, container, rate)
                if track is not None:
                    track.attach(container)
            for order, (packet, number) in enumerate(_packets(source, rate)):
                packet.time_base = 1 / rate
                packet.pts, packet.dts = before + number, before + order - delay
                packet.duration = 1
                packet.stream = stream
                container.mux(packet)
                if track is not None:
                    for sound in track.advance(Fraction(before + order + 1) / rate):
                        container.mux(sound)
        before += segment.frames
    if track is not None:
        for sound in track.finish(Fraction(before) / rate):
            container.mux(sound)


def _stream_like(
    source: InputContainer, container: OutputContainer, rate: Fraction
) -> av.VideoStream:
    template = source.streams.video[0]
    comment = source.metadata.get("comment") or source.metadata.get("COMMENT")
    if comment:
        container.metadata["comment"] = comment
    stream = container.add_stream_from_template(template)
    stream.time_base = 1 / rate
    if stream.codec_context is not None and template.codec_context is not None:
        stream.codec_context.codec_tag = template.codec_context.codec_tag
    return stream
