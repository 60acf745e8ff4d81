"""Finished videos, one after the other, into one file: packets are copied, nothing is encoded."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

import av

from video.audio import AudioTrack
from video.codecs import CONTAINERS
from video.errors import InputError, OutputExistsError
from video.muxing import Muxer
from video.options import VideoOptions
from video.packets import Segment, check_alike, numbered_packets, opened_segment
from video.rates import parse_rate
from video.safe_files.durability import sync_file, sync_folder
from video.safe_files.part_file import PartFile, check_output, write_faults
from video.size_note import read_size_note

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from os import PathLike

    from av.container import InputContainer, OutputContainer

__all__ = ["SegmentJoin", "check_joinable", "join_segments", "stream_like"]

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
    options = VideoOptions(
        parse_rate(rate),
        audio=audio,
        audio_start=audio_start,
        overwrite=overwrite,
        metadata=tuple(metadata),
    )
    with SegmentJoin(path, options) as join:
        for segment in segments:
            join.add(segment)
    return join.target


class SegmentJoin:
    """A video that finished ones of its kind are added to, one after the other, as they come.

    A context manager. When its block ends well, the file is completed, and appears; else nothing is
    left of it. Nothing is encoded: packets are copied, as ``join_segments`` does.

    Args:
        path: .mp4, .mov, .mkv or .webm.
        options: frames per second, what goes along with the pictures, and whether an existing file
            may be replaced; what concerns encoding is that of the segments.
        part_folder: where the unfinished file lies; None is beside ``path``.

    Attributes:
        target: the path.
        frames: how many have been added.

    Raises:
        InputError: if segments cannot be joined into such a file.
        OutputExistsError: if it exists and ``overwrite`` is false.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from video.video_writer import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with SegmentJoin(f"{folder}/a.mkv", VideoOptions(Fraction(24))) as join:
        ...         for number in range(2):
        ...             part = Path(folder, f"{number}.mkv")
        ...             with VideoWriter(part, width=32, height=16, rate=24) as writer:
        ...                 writer.write(np.zeros((16, 32, 3), np.uint8))
        ...             join.add(part)
        ...     join.frames
        2
    """

    def __init__(
        self,
        path: str | PathLike[str],
        options: VideoOptions,
        *,
        part_folder: Path | None = None,
    ) -> None:
        self.target, self.frames = Path(path), 0
        self._options, self._rate = options, options.rate
        check_joinable(self.target, options.audio)
        check_output(self.target, overwrite=options.overwrite)
        self._folder = part_folder
        self._added: list[Path] = []
        self._first: Segment | None = None
        self._delay = 0
        self._part: PartFile | None = None
        self._muxer: Muxer | None = None
        self._stream: av.VideoStream | None = None

    def add(self, path: Path) -> None:
        """Add all frames of a finished video, whose first one is a key frame.

        Raises:
            InputError: if it cannot be read, or does not fit those before it.
            OutputError: if writing fails.
        """
        if path.suffix.lower() != self.target.suffix.lower():
            raise InputError(
                f"expected segments that are {self.target.suffix.lower()} too; found '{path}'"
            )
        with self._faults(), opened_segment(path, self._rate) as (segment, source):
            if self._first is None:
                self._first = segment
            check_alike(self._first, segment)
            if self._muxer is None or segment.delay > self._delay:
                self._begin(source, segment.delay)
            self._copy(segment, source)
        self._added.append(path)

    def _begin(self, like: InputContainer, delay: int) -> None:
        """Begin the file, or begin it anew: how far decoding is ahead is settled at its start."""
        if self._part is None:
            self._part = PartFile(self.target, self._folder)
        self._abandon(self._part.path)
        audio, start = self._options.audio, self._options.audio_start
        container_format = CONTAINERS[self.target.suffix.lower()]
        self._muxer = Muxer(container_format, audio, start, self._options.metadata)
        container = self._muxer.open(self._part.path)
        self._stream = stream_like(like, container, time_base=1 / self._rate, rate=self._rate)
        self._muxer.attach_audio()
        self._delay, self.frames = delay, 0
        for path in self._added:
            with opened_segment(path, self._rate) as (segment, source):
                self._copy(segment, source)

    def _abandon(self, part: Path) -> None:
        """Let go of a file that is not to be finished."""
        if self._muxer is not None:
            # Closing writes an index, and moves in front of all that is there, however much.
            os.truncate(part, 0)
            self._muxer.close()

    def _copy(self, segment: Segment, source: InputContainer) -> None:
        if self._muxer is None or self._stream is None:
            raise TypeError("expected a file that was begun")
        packets = numbered_packets(source, segment.path, self._rate)
        for order, (packet, number) in enumerate(packets, start=self.frames):
            packet.time_base = 1 / self._rate
            packet.pts, packet.dts = self.frames + number, order - self._delay
            packet.duration = 1
            packet.stream = self._stream
            self._muxer.write([packet], (order + 1) / self._rate)
        self.frames += segment.frames

    def _finish(self) -> None:
        if self._muxer is None or self._part is None:
            raise InputError(f"expected segments to join into '{self.target}'; found none")
        with self._faults():
            self._muxer.finish([], self.frames / self._rate)
            sync_file(self._part.path)
            _publish(self._part, overwrite=self._options.overwrite)

    def _faults(self) -> AbstractContextManager[None]:
        return write_faults(self.target, f"joining segments into '{self.target}'", av.FFmpegError)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        is_finished = False
        try:
            if error is None:
                self._finish()
                is_finished = True
        finally:
            if self._part is not None and not is_finished:
                self._abandon(self._part.path)
                self._part.discard()


def check_joinable(target: Path, audio: str | PathLike[str] | None = None) -> None:
    """Raise InputError unless segments can be joined into a file of that name, with that sound."""
    if target.suffix.lower() not in _JOINABLE:
        raise InputError(
            f"expected {', '.join(_JOINABLE)}, which segments can be joined into; found"
            f" '{target.name}'"
        )
    if audio is not None:
        AudioTrack(Path(audio), CONTAINERS[target.suffix.lower()]).close()


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
