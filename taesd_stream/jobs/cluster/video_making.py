"""The units of a video, made by workers."""

from __future__ import annotations

from collections.abc import Callable

from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.joined_cluster import Cluster
from taesd_stream.jobs.cluster.unit_sizes import steps_of_unit
from taesd_stream.jobs.cluster.units import VideoUnits
from taesd_stream.jobs.cluster.work import ClusterWork
from taesd_stream.jobs.decoding_run import READ_AHEAD, FrameDecoding
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.progress import FrameProgress, Reporting
from tiling import Interval

__all__ = ["frames_of_unit", "make_video", "units_of"]


def frames_of_unit(decoding: FrameDecoding, workers: int, usual: Interval) -> int:
    """The frames of a unit, of which those that the model remembers are made again."""
    spec = decoding.ae.spec
    again = spec.latents_back * spec.timing.growth
    return steps_of_unit(len(decoding.run.numbers), workers, usual, again=again)


def units_of(
    work: ClusterWork, run: VideoRun, cluster: Cluster, each: int, output: Output
) -> VideoUnits:
    """A video in units of so many frames, for the workers of a cluster.

    Args:
        output: What each of them goes into, but for the name.
    """
    return VideoUnits(
        frames=run.numbers,
        unit_frames=each,
        options=work.options_on(cluster),
        output=output,
        size=run.plan.pixels,
        ahead=READ_AHEAD,
    )


def make_video(
    work: ClusterWork,
    run: VideoRun,
    cluster: Cluster,
    finished: FinishedUnits,
    job: VideoUnits,
    *,
    hand_over: Callable[[], None],
    reporting: Reporting,
) -> None:
    """Have all units of a video made that are not there yet.

    Args:
        work: How.
        run: The run of the whole.
        cluster: By whom.
        finished: What is there, and is kept.
        job: What.
        hand_over: Called now and then, when units may have become complete.
        reporting: Who is told.
    """
    total = len(job.frames)

    def latents_of(unit: int) -> range:
        part = run.part(unit * job.unit_frames, (unit + 1) * job.unit_frames)
        if part is None:
            raise TypeError("expected a unit of some frames")
        return part.latent_numbers

    def on_progress(units: float) -> None:
        hand_over()
        bar.to(min(float(total), units * job.unit_frames))
        reporting.on_progress(bar.done, total)

    with FrameProgress(total, shown=reporting.progress) as bar:
        work.make(cluster, finished, job, latents_of, on_progress)
