"""A video in finished segments that outlast whatever ends the process, joined at the end."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import av

from video.errors import InputError, OutputError
from video.joining import SegmentJoin, check_joinable
from video.options import VideoOptions
from video.packets import Segment, check_alike, read_segment
from video.safe_files.durability import sync_file, sync_folder
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import check_output, write_faults
from video.sink import FrameSink
from video.video_writer import VideoWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SegmentedWriter", "Segments"]


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the segments of a video lie.

    Attributes:
        folder: it exists. What has a segment's name there, or that of an unfinished one, and is not
            among the first ``first``, is removed.
        frames: in a segment.
        first: how many segments of an earlier run are there already.
        on_segment: told, after each segment is on the disk, how many frames there are in all.

    Raises:
        InputError: where there is no such folder, or a number makes no sense.
    """

    folder: Path
    frames: int
    first: int = 0
    on_segment: Callable[[int], None] = lambda frames: None

    def __post_init__(self) -> None:
        if self.frames < 1 or self.first < 0:
            raise InputError(
                "expected at least 1 frame in a segment, and a first segment from 0 on; found"
                f" {self.frames} and {self.first}"
            )
        if not self.folder.is_dir():
            raise InputError(f"expected a folder for segments; found none at {self.folder}")


class SegmentedWriter(FrameSink):
    """A context manager that takes frames like ``VideoWriter`` and keeps what is finished.

    Segments are complete videos in a folder: ``00000.mp4``, ``00001.mp4`` and so on, each of
    the same number of frames but the last. When the block ends well, they are joined into ``path``
    without being encoded again; whoever owns the folder removes it. When it ends with an exception,
    KeyboardInterrupt included, the segment at hand is lost, and those before it stay.

    ``frames_written`` counts the frames of earlier segments too. ``kept_part`` is always None: an
    unfinished file is never kept, as the segments are.

    Args:
        path: .mp4, .mov, .mkv or .webm.
        segments: where they lie, and what is there already.
        width, height: pixels of every frame.
        options: how the video is written.

    Raises:
        InputError: for what ``VideoWriter`` refuses, containers that cannot be joined, and
            segments that are missing or unlike those that would follow.
        OutputExistsError: if ``path`` exists, or appeared meanwhile, and ``overwrite`` is false.
        OutputError: if writing fails; the segments before stay.

    Example:
        >>> import tempfile
        >>> from fractions import Fraction
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = Path(name, "segments")
        ...     folder.mkdir()
        ...     with SegmentedWriter(
        ...         Path(name, "a.mkv"), Segments(folder, 2, on_segment=print),
        ...         width=16, height=16, options=VideoOptions(Fraction(24)),
        ...     ) as writer:
        ...         for _ in range(3):
        ...             writer.write(np.zeros((16, 16, 3), np.uint8))
        2
        3
    """

    def __init__(
        self,
        path: str | PathLike[str],
        segments: Segments,
        *,
        width: int,
        height: int,
        options: VideoOptions,
    ) -> None:
        super().__init__(path)
        self._suffix = self.path.suffix.lower()
        self._segments, self._number = segments, segments.first
        self._size, self._options = (width, height), options
        # The audio goes into the joined video. The first segment settles h264_hw and the like,
        # so that all are alike.
        self._segment_options = replace(options, audio=None, overwrite=True)
        self._check_arguments()
        self._like, self._frames_kept = self._earlier_run()
        self.frames_written = self._frames_kept
        self._remove_leftovers()
        segment = self._open_segment()
        self._segment: VideoWriter | None = segment
        self._segment_options = replace(self._segment_options, codec=segment.spec.codec.name)
        self._notes += segment.notes
        try:
            self._check_goes_on(segment)
        except BaseException:
            self._drop_segment()
            raise

    def _open_segment(self) -> VideoWriter:
        width, height = self._size
        file = self._file(self._number)
        return VideoWriter.with_options(
            file, width=width, height=height, options=self._segment_options
        )

    def _file(self, number: int) -> Path:
        return self._segments.folder / f"{number:05d}{self._suffix}"

    def _check_arguments(self) -> None:
        check_joinable(self.path, self._options.audio)
        check_output(self.path, overwrite=self._options.overwrite)

    def _earlier_run(self) -> tuple[Segment | None, int]:
        """The last segment of an earlier run, and how many frames it has finished."""
        for number in range(self._number):
            if not self._file(number).is_file():
                raise InputError(
                    f"expected {self._number} finished segments; '{self._file(number)}' is"
                    " missing: begin anew"
                )
        if self._number == 0:
            return None, 0
        last = read_segment(self._file(self._number - 1), self._options.rate)
        if last.frames > self._segments.frames:
            raise InputError(
                f"expected segments of {self._segments.frames} frames; '{last.path}' holds"
                f" {last.frames}: begin anew"
            )
        return last, (self._number - 1) * self._segments.frames + last.frames

    def _remove_leftovers(self) -> None:
        """Remove what an earlier run left that was not told of any more, finished or not."""
        name = re.compile(rf"\d{{5,}}(\.part\d*)?{re.escape(self._suffix)}")
        known = {self._file(number) for number in range(self._number)}
        for each in self._segments.folder.iterdir():
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
        self._check_open()
        if self._frames_kept != self._number * self._segments.frames:
            raise InputError(
                f"expected {self._segments.frames} frames in every segment but the last; another"
                f" frame cannot follow '{self._file(self._number - 1)}', which has fewer"
            )
        with deferred_interrupt():
            if self._segment is None:
                self._segment = self._open_segment()
            self._segment.write(frame)
            self.frames_written += 1
            if self._segment.frames_written == self._segments.frames:
                self._finish_segment(self._segment)

    def _finish_segment(self, segment: VideoWriter) -> None:
        """Close ``segment``, and tell of it once it would outlast a power failure."""
        self._segment = None
        segment.close()
        file = self._file(self._number)
        with write_faults(file, f"writing '{file}'"):
            sync_file(file)
            sync_folder(self._segments.folder)
        finished = read_segment(file, self._options.rate)
        if self._like is None:
            self._like = finished
        check_alike(self._like, finished)
        self._number += 1
        self._frames_kept += finished.frames
        self._segments.on_segment(self._frames_kept)

    def _drop_segment(self) -> None:
        if self._segment is not None:
            self._segment.discard()
            self._segment = None

    def _leave(self, error: BaseException | None) -> None:
        self._closed = True
        try:
            if error is None:
                self._finish()
        finally:
            self._drop_segment()

    def _finish(self) -> None:
        """Finish the last segment, and join all of them."""
        if not self.frames_written:
            raise self._no_frames()
        if self._segment is not None and self._segment.frames_written:
            with deferred_interrupt():
                self._finish_segment(self._segment)
        if self._frames_kept != self.frames_written:
            raise OutputError(
                f"'{self.path}' cannot be finished: {self._frames_kept} of {self.frames_written}"
                " frames are in segments, since writing one had failed"
            )
        with SegmentJoin(self.path, self._options) as join:
            for number in range(self._number):
                join.add(self._file(number))
