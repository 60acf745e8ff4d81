"""Finished videos, one after the other, into one file: packets are copied, nothing is encoded."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from video.codecs import CONTAINERS
from video.demux import open_input
from video.errors import InputError, OutputExistsError
from video.muxing import Muxer
from video.packets import Segment, check_alike, numbered_packets, read_segment
from video.rates import parse_rate
from video.safe_files.durability import sync_file, sync_folder
from video.safe_files.part_file import PartFile, check_output, write_faults
from video.size_note import read_size_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

    from av.container import InputContainer, OutputContainer

__all__ = ["check_joinable", "join_segments", "stream_like"]

# Packets can be copied from one of these to another.
_JOINABLE = (".mp4", ".mov", ".mkv", ".webm")


def join_segments(
    segments: Sequence[Path],
    path: str | PathLike[str],
    *,
    rate: str | int | float | Fraction,
    audio: str | PathLike[str] | None = None,
    audio_start: Fraction = Fraction(0),
    overwrite: bool = False,
    metadata: Iterable[tuple[str, str]] = (),
) -> Path:
    """Join videos of one kind, each of which begins with a key frame and holds frames at ``rate``.

    Frame ``i`` of the whole is shown at ``i / rate`` seconds, as ``VideoWriter`` would have it. The
    file appears when it is complete and on the disk, or not at all; the segments stay.

    Args:
        segments: the files, in order; of the container of ``path``.
        path: .mp4, .mov, .mkv or .webm.
        audio: a file whose first audio stream goes along, cut at the end of the video.
        audio_start: the seconds of it to leave out, before that of the first frame.
        metadata: names and texts that the file keeps.

    Raises:
        InputError: if there are none, they do not fit each other, or cannot be read.
        OutputExistsError: if ``path`` exists, or appeared meanwhile, and ``overwrite`` is false.
        OutputError: if writing fails.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from video.video_reader import VideoReader
        >>> from video.video_writer import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     parts = [Path(folder, f"{number}.mkv") for number in range(2)]
        ...     for part in parts:
        ...         with VideoWriter(part, width=32, height=16, rate=24) as writer:
        ...             writer.write(np.zeros((16, 32, 3), np.uint8))
        ...     with VideoReader(join_segments(parts, f"{folder}/a.mkv", rate=24)) as reader:
        ...         len(list(reader))
        2
    """
    target, exact_rate = Path(path), parse_rate(rate)
    _check_names(segments, target)
    check_output(target, overwrite=overwrite)
    known = [read_segment(segment, exact_rate) for segment in segments]
    for each in known[1:]:
        check_alike(known[0], each)
    work = f"joining segments into '{target}'"
    with PartFile(target) as part, write_faults(target, work, av.FFmpegError):
        with Muxer(CONTAINERS[target.suffix.lower()], audio, audio_start, metadata) as muxer:
            _copy(known, muxer, part.path, exact_rate)
        sync_file(part.path)
        _publish(part, overwrite=overwrite)
    return target


def check_joinable(target: Path) -> None:
    """Raise InputError unless segments can be joined into a file of that name."""
    if target.suffix.lower() not in _JOINABLE:
        raise InputError(
            f"expected {', '.join(_JOINABLE)}, which segments can be joined into; found"
            f" '{target.name}'"
        )


def _check_names(segments: Sequence[Path], target: Path) -> None:
    check_joinable(target)
    suffix = target.suffix.lower()
    if not segments:
        raise InputError(f"expected segments to join into '{target}'; found none")
    for segment in segments:
        if segment.suffix.lower() != suffix:
            raise InputError(f"expected segments that are {suffix} too; found '{segment}'")


def _publish(part: PartFile, *, overwrite: bool) -> None:
    try:
        part.publish(overwrite=overwrite)
    except OutputExistsError:
        raise OutputExistsError(
            f"'{part.target}' appeared while it was being written and was left as it is; the"
            " segments are left too: give another name, or --overwrite it (overwrite=True in"
            " Python)"
        ) from None
    sync_folder(part.target.parent)


def _copy(segments: Sequence[Segment], muxer: Muxer, part: Path, rate: Fraction) -> None:
    container = muxer.open(part)
    with contextlib.closing(open_input(segments[0].path)) as first:
        stream = stream_like(first, container, time_base=1 / rate, rate=rate)
    muxer.attach_audio()
    delay = max(segment.delay for segment in segments)
    before = 0
    for segment in segments:
        with contextlib.closing(open_input(segment.path)) as source:
            packets = numbered_packets(source, segment.path, rate)
            for order, (packet, number) in enumerate(packets, start=before):
                packet.time_base = 1 / rate
                packet.pts, packet.dts = before + number, order - delay
                packet.duration = 1
                packet.stream = stream
                muxer.write([packet], (order + 1) / rate)
        before += segment.frames
    muxer.finish([], before / rate)


def stream_like(
    source: InputContainer,
    container: OutputContainer,
    *,
    time_base: Fraction,
    rate: Fraction | None,
) -> av.VideoStream:
    """The stream that one of our writers made in ``source``, with all it says, in ``container``.

    Args:
        time_base: seconds of a tick of the packets that will come.
        rate: frames per second; None where they have times of their own.
    """
    template = source.streams.video[0]
    comment = read_size_note(source)
    if comment:
        container.metadata["comment"] = comment
    # Opaque: else FFmpeg is asked for an encoder by the decoder's name, and libdav1d is none.
    stream = container.add_stream_from_template(template, opaque=True)
    stream.time_base = time_base
    alpha_mode = template.metadata.get("alpha_mode")
    if alpha_mode is not None:  # of VP9 in Matroska, beside the frames
        stream.metadata["alpha_mode"] = alpha_mode
    context = stream.codec_context
    if rate is not None:
        context.framerate = rate  # without it Matroska has no duration for the last frame
    context.bit_rate = 0  # that of the first segment alone, as FFmpeg reckoned it
    context.codec_tag = template.codec_context.codec_tag
    if context.codec.canonical_name == "vp9" and container.format.name == "mp4":
        # FFmpeg writes there where chroma lies, but does not read it again.
        context.options = {"chroma_sample_location": "left"}
        context.open()
    return stream
