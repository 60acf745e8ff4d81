"""Videos and pictures that are encoded on a cluster, and the latents that are put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.errors import OutputError
from taesd_stream.jobs.cluster.finished_units import FinishedUnits
from taesd_stream.jobs.cluster.joined_cluster import Cluster
from taesd_stream.jobs.cluster.latent_units import LatentUnits, RowUnits, latents_in
from taesd_stream.jobs.cluster.planning import check_passes, weights_bytes, with_units
from taesd_stream.jobs.cluster.sharing import MOST_PIECE_BYTES
from taesd_stream.jobs.cluster.unit_sizes import bands_of_unit, steps_of_unit
from taesd_stream.jobs.cluster.work import ClusterWork, check_fresh, telling_what_is_kept
from taesd_stream.jobs.encoding_frames import FrameEncoding
from taesd_stream.jobs.encoding_output import LatentOutput, write_latents
from taesd_stream.jobs.encoding_picture import PictureEncoding
from taesd_stream.jobs.progress import FrameProgress, PictureProgress, Reporting
from taesd_stream.jobs.results import Encoded
from taesd_stream.jobs.resume.fingerprint import fingerprint_of_encode
from taesd_stream.jobs.resume.finished import is_finished, number_taken_before, remembered
from tiling import Interval, TilePlan, UnitPlan
from video.image_names import sequence_files
from video.safe_files.numbering import is_pattern
from video.transparency import Transparency

__all__ = ["encode_frames_on_cluster", "encode_picture_on_cluster"]

Made = TypeVar("Made")

_UNIT_FRAMES = Interval(16, 256)


def encode_frames_on_cluster(
    work: ClusterWork,
    encoding: FrameEncoding,
    output: LatentOutput,
    reporting: Reporting,
    *,
    transparency: Transparency,
) -> Encoded:
    """Encode frames into a file, on a cluster.

    Args:
        work: How.
        encoding: What; it is known how many frames there are.
        output: Where to.
        reporting: Who is told.
        transparency: What becomes of alpha.

    Raises:
        InputError: There is no such cluster, or it cannot be made there.
        OutputError: It could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    check_fresh(output)
    frames = encoding.frames
    total = encoding.ae.spec.encode_timing.latents(len(frames))
    files = _files_at(encoding.reader.path)
    start = time.perf_counter()
    with work.joined() as cluster:
        each = number_taken_before(output, "latents in a unit")
        job = LatentUnits(
            frames=frames,
            latents=total,
            unit_latents=each or _latents_of_unit(encoding, total, cluster.workers),
            plane=encoding.plane,
            options=work.options_on(cluster),
            convention=encoding.known.metadata.convention or "model",
        )
        fingerprint = _fingerprint(
            *(work, files, job, transparency), frames=frames, latents_in_a_unit=job.unit_latents
        )
        plan = _frame_plan(encoding, cluster, job)
        if output.resume and is_finished(output, fingerprint):
            return encoding.result(output, plan, None, frames=len(frames), latents=total)
        reporting.on_plan(plan)
        encoder = coder_of(encoding.ae, "encode")
        with FrameProgress(len(frames), shown=reporting.progress) as bar:
            notes = _carry_out(
                *(work, cluster, output, fingerprint, job),
                needed_by=lambda unit: job.frames_for(encoder, unit),
                on_progress=lambda units: bar.to(len(frames) * units / job.count),
                finish=partial(_write_latents, encoding, total),
            )
    return encoding.result(output, plan, start, frames=len(frames), latents=total, notes=notes)


def _fingerprint(
    work: ClusterWork,
    files: list[Path],
    job: LatentUnits | RowUnits,
    transparency: Transparency,
    **others: object,
) -> dict[str, str]:
    """All that the bytes of the latents depend on."""
    return fingerprint_of_encode(
        files,
        work.ae,
        work.plan,
        convention=job.convention,
        seed=work.options.seed,  # without one, it is the mean that is taken
        background="kept" if transparency.is_kept else transparency.color_name,
        **others,
    )


def _files_at(path: Path) -> list[Path]:
    """The files that frames are read from."""
    return [path] if path.is_file() else sequence_files(path)


def _latents_of_unit(encoding: FrameEncoding, total: int, workers: int) -> int:
    """The latents of a unit: whole groups, where frames are encoded in groups."""
    timing = encoding.ae.spec.encode_timing
    encoder = coder_of(encoding.ae, "encode")
    most = min(_UNIT_FRAMES.stop, MOST_PIECE_BYTES // (3 * encoding.plane.area))
    least, most = (-(-frames // timing.shrink) for frames in (_UNIT_FRAMES.start, most))
    usual = Interval(least, max(least, most))
    if timing.group is not None:
        of_group = (timing.group + timing.zeros) // timing.shrink
        return -(-steps_of_unit(total, workers, usual) // of_group) * of_group
    back = -encoder.network.reads_steps(Interval(0, 1)).start
    return steps_of_unit(total, workers, usual, again=-(-back // timing.shrink))


def _frame_plan(encoding: FrameEncoding, cluster: Cluster, job: LatentUnits) -> TilePlan:
    encoder, frames = coder_of(encoding.ae, "encode"), len(job.frames)
    taken = sum(len(job.frames_for(encoder, unit)) for unit in range(job.count))
    units = UnitPlan(
        workers=cluster.workers,
        count=job.count,
        each=min(job.unit_latents, job.latents),
        noun="latent",
        again=taken / frames - 1,
        read_bytes=encoder.network.channels * job.plane.area * taken,
        written_bytes=job.latents * _latent_bytes(encoding.ae, encoding.plan),
        weights_bytes=weights_bytes(encoding.ae, "encode"),
    )
    return with_units(encoding.plan, cluster, units)


def _picture_plan(encoding: PictureEncoding, cluster: Cluster, job: RowUnits) -> TilePlan:
    plan = encoding.run.plan
    channels = coder_of(encoding.ae, "encode").network.channels
    units = UnitPlan(
        workers=cluster.workers,
        count=job.count,
        each=min(job.unit_bands, len(job.heights)),
        noun="row of tiles",
        again=0.0,
        read_bytes=channels * encoding.reader.height * encoding.reader.width,
        written_bytes=_latent_bytes(encoding.ae, plan),
        weights_bytes=weights_bytes(encoding.ae, "encode"),
    )
    return with_units(plan, cluster, units)


def _latent_bytes(ae: AutoEncoder, plan: TilePlan) -> int:
    return plan.latents.area * ae.spec.latent_channels * ae.settings.tensor_dtype.itemsize


def encode_picture_on_cluster(
    work: ClusterWork,
    encoding: PictureEncoding,
    output: LatentOutput,
    reporting: Reporting,
    *,
    transparency: Transparency,
) -> Encoded:
    """Encode one picture into a file, on a cluster; as ``encode_frames_on_cluster``."""
    check_fresh(output)
    run, reader = encoding.run, encoding.reader
    check_passes(run.plan)
    files = [reader.path]
    if reader.path.is_dir():
        files = sorted(each for each in reader.path.rglob("*") if each.is_file())
    start = time.perf_counter()
    with work.joined() as cluster:
        bands = len(run.bands)
        bytes_of_band = 3 * reader.height * reader.width // bands
        each = number_taken_before(output, "bands in a unit")
        job = RowUnits(
            heights=tuple(band.size for band in run.bands),
            unit_bands=each or bands_of_unit(bands, cluster.workers, bytes_of_band),
            options=work.options_on(cluster),
            convention=encoding.known.metadata.convention or "model",
        )
        fingerprint = _fingerprint(
            *(work, files, job, transparency), bands_in_a_unit=job.unit_bands
        )
        plan = _picture_plan(encoding, cluster, job)
        if output.resume and is_finished(output, fingerprint):
            return encoding.result(output, plan, None)
        reporting.on_plan(plan)
        area = reader.height * reader.width
        with PictureProgress(area, shown=reporting.progress) as bar:
            _carry_out(
                *(work, cluster, output, fingerprint, job),
                needed_by=lambda unit: range(unit, unit + 1),
                on_progress=lambda units: bar.part(int(area * units / job.count), area),
                finish=partial(_write_rows, encoding),
            )
    return encoding.result(output, plan, start)


def _carry_out(
    work: ClusterWork,
    cluster: Cluster,
    output: LatentOutput,
    fingerprint: dict[str, str],
    job: LatentUnits | RowUnits,
    *,
    needed_by: Callable[[int], range],
    on_progress: Callable[[float], None],
    finish: Callable[[LatentOutput, Iterator[Iterator[Tensor]]], Made],
) -> Made:
    """Have all units made that are not there, and the output of the latents of each."""
    with remembered(output, fingerprint) as journal:
        finished = FinishedUnits(journal)
        if finished.numbers and is_pattern(output.path):
            output = replace(output, overwrite=True)  # what is there is of the run gone on with
        finished.keep_files(job.file_of)
        with telling_what_is_kept(finished, job.count):
            work.make(cluster, finished, job, needed_by, on_progress)
            files = [finished.folder / job.file_of(unit) for unit in range(job.count)]
            channels = work.ae.spec.latent_channels
            return finish(output, (latents_in(file, channels) for file in files))


def _write_latents(
    encoding: FrameEncoding, total: int, output: LatentOutput, units: Iterator[Iterator[Tensor]]
) -> tuple[str, ...]:
    """Write the latents of all units; what there is to say about them."""
    written, notes = write_latents(output, chain.from_iterable(units), encoding.known)
    if written != total:
        raise OutputError(
            f"cluster: expected {total} latents of {len(encoding.frames)} frames, found {written}"
        )
    return notes


def _write_rows(
    encoding: PictureEncoding, output: LatentOutput, units: Iterator[Iterator[Tensor]]
) -> None:
    top, columns = 0, slice(0, encoding.run.made.width)
    with encoding.writer(output) as writer:
        for rows in chain.from_iterable(units):
            writer.write(slice(top, top + rows.shape[1]), columns, rows)
            top += rows.shape[1]
