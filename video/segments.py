"""A video in finished segments that outlast whatever ends the process, joined at the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from video.errors import VideoInputError
from video.joining import JOINABLE, join_segments
from video.output import check_output
from video.rates import parse_rate
from video.writer import VideoWriter

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

    Args:
        path: .mp4, .mov, .mkv or .webm.
        folder: where segments lie; it exists.
        segment_frames: frames in a segment.
        first_segment: how many segments of an earlier run are there already.
        on_segment: told, after each segment is on the disk, how many frames there are in all.
        width, height, rate, codec, crf, lossless, audio, overwrite: as for ``VideoWriter``.

    Raises:
        VideoInputError: for what ``VideoWriter`` refuses, containers that cannot be joined, and
            segments that are missing.
        OutputExistsError: if ``path`` exists and ``overwrite`` is false.

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
        if self.path.suffix.lower() not in JOINABLE:
            raise VideoInputError(
                f"expected {', '.join(JOINABLE)}, which can be made of segments; found"
                f" '{self.path.name}'"
            )
        check_output(self.path, overwrite=overwrite)
        self.kept_part: Path | None = None
        self._folder, self._segment_frames = folder, segment_frames
        self._rate, self._audio, self._overwrite = parse_rate(rate), audio, overwrite
        self._on_segment = on_segment
        self._number = first_segment
        self.frames_written = first_segment * segment_frames
        self._tidy()

        def open_segment(number: int) -> VideoWriter:
            return VideoWriter(
                self._file(number), width=width, height=height, rate=rate, codec=codec, crf=crf,
                lossless=lossless, overwrite=True,
            )  # fmt: skip

        self._open_segment = open_segment
        self._segment: VideoWriter | None = open_segment(self._number)
        self._notes = self._segment.notes

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever asked for the video should be told, a line each."""
        return self._notes

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:05d}{self.path.suffix.lower()}"

    def _tidy(self) -> None:
        """See that the segments of an earlier run are there, and nothing of the one after them."""
        known = [self._file(number) for number in range(self._number)]
        for each in known:
            if not each.is_file():
                raise VideoInputError(
                    f"expected {self._number} finished segments; '{each}' is missing: begin anew"
                )
        for each in self._folder.glob(f"*{self.path.suffix.lower()}"):
            if each not in known:
                each.unlink()

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame: uint8, (height, width, 3), RGB.

        Raises:
            VideoInputError: if it does not fit, or the writer is closed.
            VideoWriteError: if it cannot be written.
        """
        if self._segment is None:
            self._segment = self._open_segment(self._number)
        self._segment.write(frame)
        self.frames_written += 1
        if self._segment.frames_written == self._segment_frames:
            self._finish_segment()

    def _finish_segment(self) -> None:
        if self._segment is None or not self._segment.frames_written:
            self._drop_segment()
            return
        self._segment.close()
        self._segment = None
        _sync(self._file(self._number))
        self._number += 1
        self._on_segment(self.frames_written)

    def _drop_segment(self) -> None:
        if self._segment is not None:
            self._segment.__exit__(VideoInputError, None, None)
            self._segment = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._drop_segment()
            return
        self._finish_segment()
        join_segments(
            [self._file(number) for number in range(self._number)],
            self.path,
            rate=self._rate,
            audio=self._audio,
            overwrite=self._overwrite,
        )


def _sync(path: Path) -> None:
    """Wait until a file would outlast a power failure."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
