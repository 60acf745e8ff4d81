"""A video file, written frame by frame: finished under its own name, or not there at all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import av

from video.codecs import CONTAINERS, choose_codec
from video.color import check_image
from video.encoding import StreamEncoder, pick_encoder
from video.errors import InputError
from video.limits import limits_of
from video.muxing import Muxer
from video.options import VideoOptions
from video.part_sink import PartSink
from video.rates import parse_rate
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import PartFile, check_output, write_faults
from video.size_note import write_size_note
from video.spec import VideoSpec
from video.unseekable_stream import UnseekableStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from video.yuv import YuvFormat, YuvFrame

__all__ = ["VideoWriter"]

_STREAM_SUFFIX = ".mkv"


class VideoWriter(PartSink):
    """A context manager: open, write frames, close.

    While frames are written, the file is ``part_path`` (``out.part.mp4`` beside ``out.mp4``). It
    gets its final name when the ``with`` block ends well. A KeyboardInterrupt finishes the file
    and keeps it under the part name (``kept_part``), if it holds a frame; any other exception
    removes it. Each frame is written once, and frame ``i`` is shown at ``i / rate`` seconds:
    exactly in .mp4 and .mov; in .mkv, .webm and .webp at the nearest millisecond and in .gif at
    the nearest centisecond, without drift.

    Args:
        path: a file whose suffix names the container; ``"-"`` for standard output, or a binary
            file object: these get Matroska that needs no seeking, and stay open.
        width, height: pixels of every frame. What a codec wants even is padded by repeating the
            last row or column; ``notes`` tells, and the file's comment holds the true size.
        rate: frames per second, as ``parse_rate`` takes it.
        codec: a name out of ``CODECS``, or ``h264_hw`` and the like; None is the suffix's default.
        crf: 0 is best; None is the codec's default.
        lossless: every RGB byte is kept.
        audio: a file whose first audio stream goes along, cut at the end of the video.
        overwrite: whether a file of that name may be replaced.
        threads: for the encoder; None is as many as it likes.
        audio_start: the seconds of sound to leave out, before that of the first frame.
        alpha: frames are (height, width, 4), RGBA with straight alpha, which is kept.
        metadata: names and texts that the file keeps.

    Raises:
        InputError: for arguments that are wrong, before anything is created; for frames that
            do not fit; and at the end, if there was no frame.
        OutputExistsError: if ``path`` exists, or appeared meanwhile, and ``overwrite`` is false.
        OutputError: if writing fails; nothing is left behind.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(f"{folder}/a.mp4", width=32, height=16, rate=24) as writer:
        ...         writer.write(np.zeros((16, 32, 3), np.uint8))
        ...     writer.path.name, writer.frames_written
        ('a.mp4', 1)
    """

    def __init__(
        self,
        path: str | PathLike[str] | BinaryIO,
        *,
        width: int,
        height: int,
        rate: str | int | float | Fraction,
        codec: str | None = None,
        crf: int | None = None,
        lossless: bool = False,
        audio: str | PathLike[str] | None = None,
        overwrite: bool = False,
        threads: int | None = None,
        audio_start: Fraction = Fraction(0),
        alpha: bool = False,
        metadata: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> None:
        options = VideoOptions(
            parse_rate(rate), codec, crf, lossless, audio, overwrite, threads, audio_start, alpha
        )
        name, self._stream = _path_and_stream(path)
        super().__init__(name, overwrite=options.overwrite)
        suffix = _STREAM_SUFFIX if self._stream else self.path.suffix.lower()
        specs = [
            VideoSpec(width, height, options.rate, row, options.crf, options.lossless, alpha)
            for row in choose_codec(suffix, options.codec, lossless=options.lossless)
        ]
        if alpha and not specs[0].codec.holds_alpha(suffix, lossless=options.lossless):
            raise InputError(
                f"{specs[0].codec.name} in {suffix} keeps no transparency: write"
                f" {', '.join(specs[0].codec.alpha_suffixes)}"
            )
        if self._stream is None:
            check_output(self.path, overwrite=options.overwrite)
        self.spec, self._encoder = pick_encoder(specs)
        self._notes += limits_of(self.spec, self._encoder, CONTAINERS[suffix])
        self._muxer = Muxer(CONTAINERS[suffix], options.audio, options.audio_start, metadata)
        try:
            self._open(options.threads)
        except BaseException:
            self._abort()
            raise

    @classmethod
    def with_options(
        cls,
        path: str | PathLike[str] | BinaryIO,
        *,
        width: int,
        height: int,
        options: VideoOptions,
    ) -> Self:
        """Open a writer whose options are at hand already."""
        return cls(path, width=width, height=height, **dataclasses.asdict(options))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, in pixels."""
        return self.spec.width, self.spec.height

    @property
    def coded_size(self) -> tuple[int, int]:
        """Width and height that the encoder sees, in pixels."""
        return self.spec.coded_size(self._encoder)

    @property
    def yuv_format(self) -> YuvFormat | None:
        """The planes that ``write_yuv`` takes; None where the encoder takes no such planes."""
        return self._encoding.yuv_format

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder at work."""
        return self._encoder.name

    def _open(self, threads: int | None) -> None:
        target: Path | UnseekableStream
        if self._stream is None:
            self._part = PartFile(self.path)
            target = self._part.path
        else:
            target = self._stream
        with self._faults():
            container = self._muxer.open(target)
            if self.coded_size != self.size:
                write_size_note(container, *self.size)
            self._encoding = StreamEncoder(
                container, self.spec, self._encoder, threads=threads or 0
            )
            self._muxer.attach_audio()

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame: uint8, (height, width, 3), RGB, or 4 where there is alpha.

        Raises:
            InputError: if its shape or dtype is another, or the writer is closed.
            OutputError: if it cannot be written.
        """
        width, height = self.size
        channels = 4 if self.spec.alpha else 3
        image = check_image(frame, width=width, height=height, channels=channels)
        self._add(image)

    def write_yuv(self, frame: YuvFrame) -> None:
        """Add one frame as planes of ``yuv_format``, converted by its matrix and range.

        Raises:
            InputError: if the planes are others, there is no such format, or the writer is
                closed.
            OutputError: if it cannot be written.
        """
        self._add(frame)

    def _add(self, frame: NDArray[np.uint8] | YuvFrame) -> None:
        self._check_open()
        with deferred_interrupt(), self._faults():
            packets = self._encoding.encode(frame, self.frames_written)
            self._muxer.write(packets, (self.frames_written + 1) / self.spec.rate)
            self.frames_written += 1

    def close(self) -> None:
        """Finish the file and give it its name; a second call does nothing.

        Raises:
            InputError: if no frame was written; nothing is left.
            OutputExistsError: if another file took the name; ours is then kept as ``kept_part``.
            OutputError: if finishing fails; nothing is left.
        """
        if self._closed:
            return
        if self.frames_written == 0:
            self._abort()
            raise self._no_frames()
        with deferred_interrupt():
            self._finish()
            self._publish("video", self._holding)

    def discard(self) -> None:
        """Give the file up, so that nothing is left of it; once it is closed, do nothing."""
        if not self._closed:
            self._abort()

    def _finish(self) -> None:
        """Write everything that is still inside, and the trailer."""
        try:
            with self._faults():
                packets = self._encoding.flush()
                self._muxer.finish(packets, self.frames_written / self.spec.rate)
                if self._stream is not None:
                    self._stream.flush()
        except BaseException:
            self._abort()
            raise
        self._closed = True
        self._muxer.close()

    @property
    def _holding(self) -> str:
        return f"{self.frames_written} frames"

    def _abort(self) -> None:
        """Give everything up: close what is open, and remove the unfinished file."""
        if self._stream is not None:
            self._stream.mute()
        self._muxer.close()
        self._closed = True
        self._discard()

    def _faults(self) -> contextlib.AbstractContextManager[None]:
        work = f"writing '{self.path}' with {self._encoder.name}"
        return write_faults(self.path, work, av.FFmpegError)

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            self.close()
        elif isinstance(error, KeyboardInterrupt) and self.frames_written > 0:
            self._finish()
            self._keep(self._holding)
        else:
            self._abort()


def _path_and_stream(
    path: str | PathLike[str] | BinaryIO,
) -> tuple[Path, UnseekableStream | None]:
    if not isinstance(path, str | os.PathLike):
        return Path("-"), UnseekableStream(path)
    if os.fspath(path) == "-":
        return Path("-"), UnseekableStream(sys.stdout.buffer)
    return Path(path), None
