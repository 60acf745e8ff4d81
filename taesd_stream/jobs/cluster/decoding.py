"""Videos and pictures that are decoded on a cluster, and what they become in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from taesd_stream.errors import InputError
from taesd_stream.jobs.cluster.apart import check_apart, decode_apart, frames_of_part
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.joined_cluster import Cluster
from taesd_stream.jobs.cluster.joined_units import joined_units
from taesd_stream.jobs.cluster.planning import check_passes, picture_plan, video_plan
from taesd_stream.jobs.cluster.unit_sizes import bands_of_unit
from taesd_stream.jobs.cluster.units import PictureUnits
from taesd_stream.jobs.cluster.video_making import frames_of_unit, make_video, units_of
from taesd_stream.jobs.cluster.work import ClusterWork, check_fresh, telling_what_is_kept
from taesd_stream.jobs.decoding_picture import check_room, fingerprint_of_picture
from taesd_stream.jobs.decoding_run import FrameDecoding, PictureDecoding
from taesd_stream.jobs.delivery.bands import Rows, strips
from taesd_stream.jobs.delivery.frame_sinks import row_opener
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.progress import PictureProgress, Reporting
from taesd_stream.jobs.results import Rendered, rendered
from taesd_stream.jobs.resume.finished import is_finished, number_taken_before, remembered
from taesd_stream.jobs.resume.journal import Journal
from taesd_stream.jobs.resume.resumed_video import fingerprint_of_video, segment_frames_of
from taesd_stream.remote.outputs import address_of
from tiling import Size, TilePlan
from video.joining import check_joinable
from video.large.shards import RowShards
from video.video_writer import VideoWriter

__all__ = ["decode_on_cluster", "plan_on_cluster"]

Decoding: TypeAlias = FrameDecoding | PictureDecoding


def decode_on_cluster(work: ClusterWork, decoding: Decoding, reporting: Reporting) -> Rendered:
    """Decode into a file, on a cluster.

    Args:
        work: How.
        decoding: What.
        reporting: Who is told.

    Raises:
        InputError: It cannot be made in units, or there is no such cluster.
        OutputError: It could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    if isinstance(decoding, FrameDecoding) and not decoding.output.is_segmentable:
        return decode_apart(work, decoding, reporting)
    check_fresh(decoding.output)
    if isinstance(decoding, PictureDecoding):
        return _picture(work, decoding, reporting)
    return _video(work, decoding, reporting)


def plan_on_cluster(work: ClusterWork, decoding: Decoding) -> TilePlan:
    """The plan of ``decode_on_cluster``, of which nothing is done.

    Raises:
        InputError: As there.
    """
    if isinstance(decoding, PictureDecoding):
        _check_picture(decoding)
        with work.joined() as cluster:
            return picture_plan(decoding, cluster, _unit_bands(decoding, cluster.workers))
    output = decoding.output
    if output.is_segmentable:
        check_joinable(output.path, output.audio)
        sized = _segment_frames
    else:
        check_apart(decoding)
        sized = frames_of_part
    with work.joined() as cluster:
        return video_plan(decoding, cluster, sized(decoding, cluster.workers))


def _video(work: ClusterWork, decoding: FrameDecoding, reporting: Reporting) -> Rendered:
    run, output = decoding.run, decoding.output
    check_joinable(output.path, output.audio)
    start = time.perf_counter()
    result = partial(rendered, decoding.ae, output)
    with work.joined() as cluster:
        each = _segment_frames(decoding, cluster.workers)
        fingerprint = fingerprint_of_video(decoding, each)
        plan = video_plan(decoding, cluster, each)
        if output.resume and is_finished(output, fingerprint):
            return result(plan, None, frames=len(run.numbers))
        reporting.on_plan(plan)
        with remembered(output, fingerprint) as journal:
            segment, notes = _settled(output, journal, run.plan.pixels)
            job = units_of(work, run, cluster, each, segment)
            finished = FinishedUnits(journal)
            finished.keep_files(job.file_of)
            with (
                telling_what_is_kept(finished, job.count),
                joined_units(output, finished, job) as hand_over,
            ):
                make_video(
                    work, run, cluster, finished, job, hand_over=hand_over, reporting=reporting
                )
    return result(plan, start, frames=len(run.numbers), notes=notes)


def _segment_frames(decoding: FrameDecoding, workers: int) -> int:
    return segment_frames_of(decoding, partial(frames_of_unit, decoding, workers))


def _settled(output: Output, journal: Journal, size: Size) -> tuple[Output, tuple[str, ...]]:
    """The output of a segment, with a codec that opens here, and what there is to say about it.

    All segments shall be alike.
    """
    options = replace(output.video_options, audio=None, overwrite=True)
    probe = VideoWriter.with_options(
        journal.folder / f"probe{output.suffix}",
        width=size.width,
        height=size.height,
        options=options,
    )
    codec, notes = probe.spec.codec.name, probe.notes
    probe.discard()
    segment = replace(output, codec=codec, audio=None, resume=False, overwrite=True)
    return segment, notes


def _picture(work: ClusterWork, decoding: PictureDecoding, reporting: Reporting) -> Rendered:
    run, output = decoding.run, decoding.output
    _check_picture(decoding)
    start = time.perf_counter()
    with work.joined() as cluster:
        each = _unit_bands(decoding, cluster.workers)
        plan = picture_plan(decoding, cluster, each)
        fingerprint = fingerprint_of_picture(decoding, bands_in_a_unit=each)
        if output.resume and is_finished(output, fingerprint):
            return rendered(decoding.ae, output, plan, None)
        address = address_of(output.path)
        rows = None if address is None else f"{address}.resume/{PictureUnits.FILE}"
        check_room(decoding, kept_bytes=0 if rows else output.channels * run.made.area)
        reporting.on_plan(plan)
        with remembered(output, fingerprint) as journal:
            job = PictureUnits(
                index=decoding.index,
                unit_bands=each,
                heights=tuple(band.size for band in run.bands),
                options=work.options_on(cluster),
                transparency=output.transparency,
                channels=output.channels,
                rows=rows,
            )
            finished = FinishedUnits(journal)
            journal.keep_only(finished.name, PictureUnits.FILE)
            _prepare_rows(finished, job, run.made)
            with telling_what_is_kept(finished, job.count):
                _make_picture(work, cluster, finished, job, reporting)
                notes = _write_picture(decoding, journal, job)
        if rows is not None:
            RowShards.remove(rows)
    return rendered(decoding.ae, output, plan, start, notes=notes)


def _check_picture(decoding: PictureDecoding) -> None:
    if decoding.output.preview is not None:
        raise InputError("preview: expected none on a cluster; leave it out")
    check_passes(decoding.run.plan)


def _unit_bands(decoding: PictureDecoding, workers: int) -> int:
    """The rows of tiles in a unit: as many as a run that is gone on with has taken."""
    output, run = decoding.output, decoding.run
    known = number_taken_before(output, "bands in a unit")
    if known is not None:
        return known
    bands = len(run.bands)
    band_bytes = output.channels * run.made.area // bands
    return bands_of_unit(bands, workers, band_bytes)


def _prepare_rows(finished: FinishedUnits, job: PictureUnits, size: Size) -> None:
    path = job.rows_in(finished.folder)
    if finished.numbers:
        if not RowShards.is_there(path):
            raise InputError(
                f"resume: expected finished rows in {path}, found none; remove {finished.folder} to"
                " begin anew"
            )
        finished.keep_those(RowShards.open(path).holds)
        return
    RowShards.create(
        path,
        parts=job.count,
        rows=max(job.height_of(unit) for unit in range(job.count)),
        width=size.width,
        channels=job.channels,
    )


def _make_picture(
    work: ClusterWork,
    cluster: Cluster,
    finished: FinishedUnits,
    job: PictureUnits,
    reporting: Reporting,
) -> None:
    area = sum(job.heights) * work.plan.pixels.width

    def on_progress(units: float) -> None:
        done = int(area * units / job.count)
        bar.part(done, area)
        reporting.on_progress(done, area)

    with PictureProgress(area, shown=reporting.progress) as bar:
        work.make(cluster, finished, job, lambda unit: range(job.index, job.index + 1), on_progress)


def _write_picture(
    decoding: PictureDecoding, journal: Journal, job: PictureUnits
) -> tuple[str, ...]:
    """Make the output of all rows."""
    run = decoding.run
    rows = RowShards.open(job.rows_in(journal.folder))
    with ExitStack() as closing:
        writer = closing.enter_context(
            row_opener(decoding.output, run.made)(
                memory_bytes=run.waiting.writing_bytes, part_folder=journal.folder
            )
        )
        for strip in _strips(rows, job, run.made.width):
            writer.write(strip)
    return writer.notes


def _strips(rows: RowShards, job: PictureUnits, width: int) -> Iterator[Rows]:
    for unit in range(job.count):
        for start, stop in strips(job.height_of(unit), width):
            yield rows.read(unit, start, stop)
