"""Frames that workers make for outputs which cannot be joined from files of their kind.

These are numbered pictures, animations and arrays. Workers bring frames as bytes, in the order that
suits them; in the end they are written in their own, by the process that hands out work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from taesd_stream.errors import InputError, Interrupted
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.planning import video_plan
from taesd_stream.jobs.cluster.units import VideoUnits
from taesd_stream.jobs.cluster.video_making import frames_of_unit, make_video, units_of
from taesd_stream.jobs.cluster.work import ClusterWork
from taesd_stream.jobs.decoding_run import FrameDecoding
from taesd_stream.jobs.delivery.frame_sinks import Frame, open_sink
from taesd_stream.jobs.delivery.interrupted import inode_of, what_is_left
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.progress import Reporting
from taesd_stream.jobs.results import Rendered, rendered
from taesd_stream.jobs.resume.journal import Journal
from tiling import Interval
from video import open_reader
from video.sink import Sink
from video.transparency import Transparency

__all__ = ["check_apart", "decode_apart", "frames_of_part"]

_FEWEST_FRAMES = 16
_MOST_FRAMES = 250
_PART_BYTES = 256 << 20
"""Of frames that a worker that does not see the folder of the output brings along."""


def check_apart(decoding: FrameDecoding) -> None:
    """Refuse what a cluster cannot make.

    Raises:
        InputError: It is standard output, or one picture of several frames.
    """
    output = decoding.output
    if output.is_stream:
        raise InputError(
            "cluster: expected a file, found - for standard output; write a file, or leave out"
            " --cluster (cluster= in Python)"
        )
    output.check_count(len(decoding.run.numbers))


def frames_of_part(decoding: FrameDecoding, workers: int) -> int:
    """The frames of a unit."""
    most = _PART_BYTES // (decoding.output.channels * decoding.run.plan.pixels.area)
    usual = Interval(_FEWEST_FRAMES, max(_FEWEST_FRAMES, min(_MOST_FRAMES, most)))
    return frames_of_unit(decoding, workers, usual)


def decode_apart(work: ClusterWork, decoding: FrameDecoding, reporting: Reporting) -> Rendered:
    """Decode frames on a cluster, and write them when all are there.

    What is finished lies beside the output until then, and is not gone on with.

    Raises:
        InputError: It cannot be made, or there is no such cluster; nothing is left.
        OutputError: It could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    run, output = decoding.run, decoding.output
    check_apart(decoding)
    start = time.perf_counter()
    with work.joined() as cluster:
        each = frames_of_part(decoding, cluster.workers)
        plan = video_plan(decoding, cluster, each)
        reporting.on_plan(plan)
        part = Output(
            "frames.npy", overwrite=True, background=output.background, alpha=output.alpha
        )
        job = units_of(work, run, cluster, each, part)
        with Journal.open(output.path, {}) as journal:
            try:
                journal.note(0)
                journal.keep_only()  # what a run that was killed has left
                finished = FinishedUnits(journal)
                make_video(
                    *(work, run, cluster, finished, job),
                    hand_over=lambda: None,
                    reporting=reporting,
                )
                sink = _written(output, finished, job)
            except KeyboardInterrupt as error:
                if isinstance(error, Interrupted):
                    raise
                raise Interrupted("interrupted; nothing is left behind") from error
            finally:
                journal.finish()
    return rendered(
        *(decoding.ae, output, plan, start), frames=sink.frames_written, notes=sink.notes
    )


def _written(output: Output, finished: FinishedUnits, job: VideoUnits) -> Sink:
    sink: Sink | None = None
    inode_before = inode_of(output.name)
    try:
        with open_sink(output, job.size) as sink:
            for frame in _frames(output, finished, job):
                sink.write(frame)
    except KeyboardInterrupt as error:
        left = what_is_left(sink, output.name, inode_before)
        raise Interrupted(f"interrupted; {left}") from error
    return sink


def _frames(output: Output, finished: FinishedUnits, job: VideoUnits) -> Iterator[Frame]:
    transparency = Transparency.of(None, holds_alpha=output.alpha)
    for unit in range(job.count):
        path = finished.folder / job.file_of(unit)
        with open_reader(path, transparency=transparency) as reader:
            for frame in reader:
                yield frame.image
