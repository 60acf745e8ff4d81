"""A video that plays however the process that writes it ends, and is a plain file in the end."""

from __future__ import annotations

import os
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from video.codecs import CONTAINERS, choose_codec
from video.color import check_image
from video.demux import open_input
from video.encoding import StreamEncoder, pick_encoder
from video.errors import InputError, OutputError
from video.fragments import FragmentFile
from video.joining import check_joinable, stream_like
from video.limits import limits_of
from video.muxing import Muxer
from video.part_sink import PartSink
from video.safe_files.durability import sync_file, sync_folder
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import PartFile, check_output, write_faults
from video.spec import VideoSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

    from video.options import VideoOptions

__all__ = ["RecordingWriter"]

_TICKS = {"mp4": 90_000, "mov": 90_000, "matroska": 1000, "webm": 1000}
"""In a second of the clock of frames that have times of their own."""


class RecordingWriter(PartSink):
    """A context manager that takes frames like ``VideoWriter``, from a source that goes on.

    While frames come, ``part_path`` is a file that plays up to the newest of them, whatever ends
    the process: fragmented MP4, or Matroska without an index. When the block ends well, its packets
    are copied to a plain file, with the index in front, which gets the final name. An exception,
    KeyboardInterrupt included, leaves what there is under the part's name (``kept_part``).

    Frames leave the encoder one by one, without B-frames or looking ahead: at the same ``crf`` the
    file is larger, 1.4 times in H.264, 1.6 times in H.265.

    Args:
        path: .mp4, .mov, .mkv or .webm.
        width, height: pixels of every frame.
        options: how the video is written. Audio and alpha are not recorded.
        is_timed: frames have times of their own; the rate is then what is to be expected.

    Raises:
        InputError: for what ``VideoWriter`` refuses, and other containers.
        OutputExistsError: if ``path`` exists, or appeared meanwhile, and ``overwrite`` is false.
        OutputError: if writing fails; what there is stays.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from video.options import VideoOptions
        >>> from video.video_reader import VideoReader
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RecordingWriter(
        ...         f"{folder}/a.mp4",
        ...         width=32, height=16, options=VideoOptions(Fraction(24)), is_timed=True,
        ...     ) as writer:
        ...         for seconds in (0, Fraction(1, 3), 2):
        ...             writer.write(np.zeros((16, 32, 3), np.uint8), seconds)
        ...     with VideoReader(writer.path) as reader:
        ...         [str(frame.pts_seconds) for frame in reader]
        ['0', '1/3', '2']
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        width: int,
        height: int,
        options: VideoOptions,
        is_timed: bool = False,
    ) -> None:
        super().__init__(path, overwrite=options.overwrite)
        check_joinable(self.path)
        if options.audio is not None or options.alpha:
            raise InputError("a recording has neither audio nor alpha: leave them out")
        suffix = self.path.suffix.lower()
        self._format = CONTAINERS[suffix]
        ticks = _TICKS[self._format] if is_timed else None
        specs = [
            VideoSpec(
                *(width, height, options.rate, row, options.crf, options.lossless),
                low_delay=True,
                ticks_per_second=ticks,
            )
            for row in choose_codec(suffix, options.codec, lossless=options.lossless)
        ]
        check_output(self.path, overwrite=options.overwrite)
        self.spec, self._encoder = pick_encoder(specs)
        self._notes += limits_of(self.spec, self._encoder, self._format)
        self._is_broken = False
        self._last = -1  # the time of the newest frame, in ticks
        self._open(options.threads)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames, in pixels."""
        return self.spec.width, self.spec.height

    @property
    def _noted_size(self) -> tuple[int, int] | None:
        return None if self.spec.coded_size(self._encoder) == self.size else self.size

    def _open(self, threads: int | None) -> None:
        self._part = PartFile(self.path)
        try:
            with self._faults():
                # Only the encoder's packets are of use; as one of that container it makes its own.
                self._holder = av.open(os.devnull, "w", format=self._format)
                encoding = StreamEncoder(
                    self._holder, self.spec, self._encoder, threads=threads or 0
                )
                self._encoding = encoding
                self._holder.start_encoding()
                # Which has set the stream's time base to its own.
                self._fragments = FragmentFile(
                    self._part.path,
                    self._format,
                    encoding.stream,
                    time_base=encoding.time_base,
                    noted_size=self._noted_size,
                )
        except BaseException:
            self._discard()
            raise

    def write(self, frame: NDArray[np.uint8], at: Fraction | float | None = None) -> None:
        """Add one frame: uint8, (height, width, 3), RGB.

        Args:
            at: seconds after the first one, where frames have times of their own; one that is not
                later than the frame before comes a tick after that.

        Raises:
            InputError: if its shape or dtype is another, the time is missing, or the writer is
                closed.
            OutputError: if it cannot be written; what was written stays in ``part_path``.
        """
        width, height = self.size
        image = check_image(frame, width=width, height=height)
        self._check_open()
        if self._is_broken:
            raise InputError(f"'{self.path}' could not be written; no frame can follow")
        pts = max(self._ticks(at), self._last + 1)
        with deferred_interrupt():
            try:
                with self._faults():
                    self._put(self._encoding.encode_at(image, pts), pts)
            except OutputError:
                self._is_broken = True
                raise
            self._last = pts
            self.frames_written += 1

    def _ticks(self, at: Fraction | float | None) -> int:
        if self.spec.ticks_per_second is None:
            return self.frames_written
        if at is None:
            raise InputError("expected the time of a frame, in seconds; found None")
        return round(Fraction(at) * self.spec.ticks_per_second)

    def _put(self, packets: Iterable[av.Packet[Any]], pts: int) -> None:
        for packet in packets:
            if not packet.duration and self.spec.ticks_per_second is not None:
                # Until the next one comes: as long as the one before.
                usual = round(self.spec.ticks_per_second / self.spec.rate)
                packet.duration = usual if self._last < 0 else pts - self._last
            self._fragments.write(packet)

    def close(self) -> None:
        """Finish the file and give it its name; a second call does nothing.

        Raises:
            InputError: if no frame was written; nothing is left.
            OutputExistsError: if another file took the name; ours is then kept as ``kept_part``.
            OutputError: if finishing fails; ``kept_part`` is what was recorded.
        """
        if self._closed:
            return
        if not self.frames_written:
            self._stop()
            self._discard()
            raise self._no_frames()
        with deferred_interrupt():
            self._finish()
            self._publish("video", self._holding)
            if self.kept_part is None:
                sync_folder(self.path.parent)

    def _leave(self, error: BaseException | None) -> None:
        if error is None:
            self.close()
        elif self.frames_written:
            with deferred_interrupt():
                self._finish()
            self._keep(self._holding)
        else:
            self._stop()
            self._discard()

    @property
    def _holding(self) -> str:
        return f"{self.frames_written} frames"

    def _finish(self) -> None:
        """Make the part a plain file; one that could not be written to is left as it is."""
        recorded = self._part
        try:
            with self._faults():
                if not self._is_broken:
                    self._put(self._encoding.flush(), self._last + 1)
            self._stop()
            if self._is_broken or recorded is None:
                return
            with PartFile(self.path) as plain, self._faults():
                self._copy(recorded.path, plain.path)
                sync_file(plain.path)
                os.replace(plain.path, recorded.path)
        except BaseException:
            self._stop()
            self._keep(self._holding)
            raise

    def _stop(self) -> None:
        """Let go of the encoder and of the file."""
        self._closed = True
        self._fragments.close()
        self._holder.close()

    def _copy(self, recorded: Path, plain: Path) -> None:
        time_base = self._encoding.time_base
        with Muxer(self._format, None) as muxer, closing(open_input(recorded)) as source:
            container = muxer.open(plain)
            rate = None if self.spec.ticks_per_second else self.spec.rate
            stream = stream_like(source, container, time_base=time_base, rate=rate)
            for packet in source.demux(source.streams.video[0]):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    scale = packet.time_base / time_base
                    packet.pts = round(packet.pts * scale)
                    packet.dts = round(packet.dts * scale)
                    packet.duration = round((packet.duration or 0) * scale)
                    packet.time_base = time_base
                    packet.stream = stream
                    muxer.write([packet], Fraction(0))
            muxer.finish([], Fraction(0))

    def _faults(self) -> AbstractContextManager[None]:
        return write_faults(self.path, f"recording '{self.path}'", av.FFmpegError)
