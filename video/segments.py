"""A video in finished segments that outlast whatever ends the process, joined at the end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

import av

from video.audio import AudioTrack
from video.codecs import CONTAINERS
from video.errors import InputError, OutputError
from video.joining import JOINABLE, join_segments
from video.packets import Segment, check_alike, read_segment
from video.rates import parse_rate
from video.safe_files.durability import sync_file, sync_folder
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import check_output, explain_os_error
from video.video_writer import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction
    from os import PathLike
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SegmentedWriter"]


class SegmentedWriter:
    """A context manager that takes frames like ``VideoWriter`` and keeps what is finished.

    Segments are complete videos in ``folder``: ``00000.mp4``, ``00001.mp4`` and so on, each of
    ``segment_frames`` frames but the last. When the block ends well, they are joined into ``path``
    without being encoded again; whoever owns the folder removes it. When it ends with an exception,
    KeyboardInterrupt included, the segment at hand is lost, and those before it stay.

    ``frames_written`` counts the frames of earlier segments too. ``kept_part`` is always None: an
    unfinished file is never kept, as the segments are.

    Args:
        path: .mp4, .mov, .mkv or .webm.
        folder: where segments lie; it exists. What has a segment's name, or that of an unfinished
            one, and is not among the first ``first_segment``, is removed.
        segment_frames: frames in a segment.
        first_segment: how many segments of an earlier run are there already.
        on_segment: told, after each segment is on the disk, how many frames there are in all.
        width, height, rate, codec, crf, lossless, audio, overwrite: as for ``VideoWriter``.

    Raises:
        InputError: for what ``VideoWriter`` refuses, containers that cannot be joined, and
            segments that are missing or unlike those that would follow.
        OutputExistsError: if ``path`` exists, or appeared meanwhile, and ``overwrite`` is false.
        OutputError: if writing fails; the segments before stay.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name, "segments")
        ...     folder.mkdir()
        ...     with SegmentedWriter(
        ...         Path(name, "a.mkv"), folder=folder, width=16, height=16, rate=24,
        ...         segment_frames=2, on_segment=print,
        ...     ) as writer:
        ...         for _ in range(3):
        ...             writer.write(np.zeros((16, 16, 3), np.uint8))
        2
        3
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        folder: Path,
        width: int,
        height: int,
        rate: str | int | float | Fraction,
        segment_frames: int,
        first_segment: int = 0,
        codec: str | None = None,
        crf: int | None = None,
        lossless: bool = False,
        audio: str | PathLike[str] | None = None,
        overwrite: bool = False,
        on_segment: Callable[[int], None] = lambda frames: None,
    ) -> None:
        self.path = Path(path)
        self._suffix = self.path.suffix.lower()
        self._folder, self._segment_frames, self._number = folder, segment_frames, first_segment
        self._rate, self._audio, self._overwrite = parse_rate(rate), audio, overwrite
        self._on_segment = on_segment
        self._codec = codec
        self.kept_part: Path | None = None
        self._closed = False
        self._check_arguments()
        self._like = self._last_of_earlier_run()
        self._frames_kept = self._count_earlier()
        self.frames_written = self._frames_kept
        self._remove_leftovers()

        def open_segment() -> VideoWriter:
            return VideoWriter(
                self._file(self._number), width=width, height=height, rate=rate, codec=self._codec,
                crf=crf, lossless=lossless, overwrite=True,
            )  # fmt: skip

        self._open_segment = open_segment
        segment = open_segment()
        self._segment: VideoWriter | None = segment
        self._codec = segment.spec.codec.name  # of h264_hw and the like, the same every time
        self._notes = segment.notes
        try:
            self._check_goes_on(segment)
        except BaseException:
            self._drop_segment()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever asked for the video should be told, a line each."""
        return self._notes

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:05d}{self._suffix}"

    def _check_arguments(self) -> None:
        if self._suffix not in JOINABLE:
            raise InputError(
                f"expected {', '.join(JOINABLE)}, which can be made of segments; found"
                f" '{self.path.name}'"
            )
        if self._segment_frames < 1 or self._number < 0:
            raise InputError(
                "expected at least 1 frame in a segment, and a first segment from 0 on; found"
                f" {self._segment_frames} and {self._number}"
            )
        check_output(self.path, overwrite=self._overwrite)
        if not self._folder.is_dir():
            raise InputError(f"expected a folder for segments; found none at {self._folder}")
        if self._audio is not None:
            AudioTrack(Path(self._audio), CONTAINERS[self._suffix]).close()

    def _last_of_earlier_run(self) -> Segment | None:
        for number in range(self._number):
            if not self._file(number).is_file():
                raise InputError(
                    f"expected {self._number} finished segments; '{self._file(number)}' is"
                    " missing: begin anew"
                )
        return read_segment(self._file(self._number - 1), self._rate) if self._number else None

    def _count_earlier(self) -> int:
        if self._like is None:
            return 0
        if self._like.frames > self._segment_frames:
            raise InputError(
                f"expected segments of {self._segment_frames} frames; '{self._like.path}' holds"
                f" {self._like.frames}: begin anew"
            )
        return (self._number - 1) * self._segment_frames + self._like.frames

    def _remove_leftovers(self) -> None:
        """Remove what an earlier run left that was not told of any more, finished or not."""
        name = re.compile(rf"\d{{5,}}(\.part\d*)?{re.escape(self._suffix)}")
        known = {self._file(number) for number in range(self._number)}
        for each in self._folder.iterdir():
            if name.fullmatch(each.name) and each not in known:
                each.unlink()

    def _check_goes_on(self, segment: VideoWriter) -> None:
        """See that ``segment`` is of the kind that earlier ones are, as far as can be told yet."""
        if self._like is None:
            return
        codec = av.Codec(segment.encoder, "w").canonical_name
        width, height = segment.coded_size
        wanted = {"codec": codec, "size": f"{width}x{height}"}
        for trait, value in wanted.items():
            if self._like.traits[trait] != value:
                raise InputError(
                    f"expected segments whose {trait} is {value}; '{self._like.path}' has"
                    f" {self._like.traits[trait]}: go on as it was begun, or begin anew"
                )

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame: uint8, (height, width, 3), RGB.

        Raises:
            InputError: if it does not fit, the writer is closed, or a segment of an earlier
                run was its last.
            OutputError: if it cannot be written.
        """
        if self._closed:
            raise InputError(f"'{self.path}' is closed; no frame can follow")
        if self._frames_kept != self._number * self._segment_frames:
            raise InputError(
                f"expected {self._segment_frames} frames in every segment but the last; another"
                f" frame cannot follow '{self._file(self._number - 1)}', which has fewer"
            )
        with deferred_interrupt():
            if self._segment is None:
                self._segment = self._open_segment()
            self._segment.write(frame)
            self.frames_written += 1
            if self._segment.frames_written == self._segment_frames:
                self._finish_segment(self._segment)

    def _finish_segment(self, segment: VideoWriter) -> None:
        """Close ``segment``, and tell of it once it would outlast a power failure."""
        self._segment = None
        segment.close()
        file = self._file(self._number)
        try:
            sync_file(file)
            sync_folder(self._folder)
        except OSError as error:
            raise explain_os_error(file, error) from error
        finished = read_segment(file, self._rate)
        if self._like is None:
            self._like = finished
        check_alike(self._like, finished)
        self._number += 1
        self._frames_kept += finished.frames
        self._on_segment(self._frames_kept)

    def _drop_segment(self) -> None:
        if self._segment is not None:
            self._segment.discard()
            self._segment = None

    def _join(self) -> None:
        if self._frames_kept != self.frames_written:
            raise OutputError(
                f"'{self.path}' cannot be finished: {self._frames_kept} of {self.frames_written}"
                " frames are in segments, since writing one had failed"
            )
        join_segments(
            [self._file(number) for number in range(self._number)],
            self.path,
            rate=self._rate,
            audio=self._audio,
            overwrite=self._overwrite,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._closed:
            return
        self._closed = True
        if kind is not None:
            self._drop_segment()
            return
        if not self.frames_written:
            self._drop_segment()
            raise InputError(f"expected at least one frame for '{self.path}'; found none")
        if self._segment is not None and self._segment.frames_written:
            with deferred_interrupt():
                self._finish_segment(self._segment)
        self._drop_segment()
        self._join()
