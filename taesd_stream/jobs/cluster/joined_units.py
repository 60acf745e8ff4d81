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
    options, frames = output.video_options, len(job.frames)
    with SegmentJoin(output.path, options, part_folder=finished.folder) as join:
        handed = 0

        def add_all(segments: Iterator[Path]) -> None:
            for segment in segments:
                join.add(segment)

        def hand_over() -> None:
            nonlocal handed
            joining.check()
            for unit in range(handed, finished.leading):
                joining.put(finished.folder / job.file_of(unit))
            handed = finished.leading

        with WriteBehind(add_all, most=job.count) as joining:
            yield hand_over
            hand_over()
        if join.frames != frames:
            raise OutputError(
                f"'{join.target}' cannot be finished: expected {frames} frames in"
                f" {finished.folder}, found {join.frames}; remove that folder to begin anew"
            )
