"""Segments that are joined into a video while those behind them are still being made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from taesd_stream.errors import OutputError
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.units import VideoUnits
from taesd_stream.jobs.output import Output
from video.background import WriteBehind
from video.joining import SegmentJoin

__all__ = ["joined_units"]


@contextmanager
def joined_units(
    output: Output, finished: FinishedUnits, job: VideoUnits
) -> Iterator[Callable[[], None]]:
    """Join the segments of a video in a thread, each as soon as none before it is missing.

    When the block ends well, all of them have to be there, and the file is complete; else the
    segments stay, and nothing else does.

    Args:
        output: The video.
        finished: The segments that are there, and will be.
        job: Makes them.

    Yields:
        What hands over the segments that have become complete: to be called now and then; it waits
        for nothing, and raises what joining earlier ones has raised.

    Raises:
        OutputError: The file could not be written.
    """
    options, folder, frames = output.video_options, finished.folder, len(job.frames)
    handed = 0

    def join_all(segments: Iterator[Path]) -> None:
        # The file is this thread's: nobody else closes it, whoever interrupts whom.
        with SegmentJoin(output.path, options, part_folder=folder) as join:
            for segment in segments:
                join.add(segment)
            if join.frames != frames:
                raise OutputError(
                    f"'{join.target}' cannot be finished: expected {frames} frames in {folder},"
                    f" found {join.frames}; remove that folder to begin anew"
                )

    def hand_over() -> None:
        nonlocal handed
        joining.check()
        for unit in range(handed, finished.leading):
            joining.put(folder / job.file_of(unit))
        handed = finished.leading

    with WriteBehind(join_all, most=job.count) as joining:
        yield hand_over
        hand_over()
