"""One picture into a file, band by band, in memory that does not depend on its height."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import nullcontext

from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding_run import PictureDecoding
from taesd_stream.jobs.delivery.picture_file import needed_bytes_of, rows_done, write_bands
from taesd_stream.jobs.progress import PictureProgress, Reporting
from taesd_stream.jobs.results import Rendered, rendered
from taesd_stream.jobs.resume.fingerprint import fingerprint_of
from taesd_stream.jobs.resume.finished import is_finished, remembered
from taesd_stream.jobs.resume.journal import Journal
from tiling import format_bytes

__all__ = ["check_room", "fingerprint_of_picture", "write_picture"]

_log = logging.getLogger("taesd_stream")


def write_picture(decoding: PictureDecoding, reporting: Reporting) -> Rendered:
    """Decode one picture into a file.

    Raises:
        InputError: The disk cannot hold the picture, or it was begun from something else.
        OutputError: The picture could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    picture, output = decoding.run, decoding.output
    fingerprint = fingerprint_of_picture(decoding) if output.resume else None
    if fingerprint is not None and is_finished(output, fingerprint):
        return rendered(decoding.ae, output, picture.plan, None)
    check_room(decoding)
    reporting.on_plan(picture.plan)
    start = time.perf_counter()
    with nullcontext() if fingerprint is None else remembered(output, fingerprint) as journal:
        done = _finished_rows(decoding, journal) * picture.made.width
        area = picture.made.area
        seconds = picture.plan.seconds
        shown = reporting.progress
        with PictureProgress(area, shown=shown, done=done, seconds=seconds) as bar:

            def on_tile(done: int, total: int) -> None:
                bar.part(done, total)
                reporting.on_progress(done, total)

            notes = write_bands(picture, output, journal, on_tile=on_tile)
    return rendered(decoding.ae, output, picture.plan, start, notes=notes)


def fingerprint_of_picture(decoding: PictureDecoding, **others: object) -> dict[str, str]:
    """All that the bytes of a picture, and of what is kept of it, depend on."""
    return fingerprint_of(
        decoding.latents,
        [decoding.index],
        decoding.ae,
        decoding.run.plan,
        compression=decoding.output.chosen_compression,
        quality=decoding.output.quality,
        background=decoding.output.background,
        **others,
    )


def _finished_rows(decoding: PictureDecoding, journal: Journal | None) -> int:
    """Count the rows that an earlier run has finished."""
    bands = decoding.run.bands
    if journal is not None and journal.done > len(bands):
        raise InputError(
            f"resume: expected at most {len(bands)} bands in {journal.folder}, found"
            f" {journal.done}; remove it to begin anew"
        )
    rows = rows_done(decoding.run, journal)
    if rows:
        _log.info("going on after row %d of %d", rows, decoding.run.made.height)
    return rows


def check_room(decoding: PictureDecoding, kept_bytes: int = 0) -> None:
    """Say how much of the disk is needed, where that may be more than there is.

    Args:
        kept_bytes: What is kept besides, until the output is complete.

    Raises:
        InputError: It is more for certain: pixels that are not compressed take their full size.
    """
    output = decoding.output
    needed, kept = needed_bytes_of(output, decoding.run.made)
    kept = max(kept, kept_bytes)
    free = shutil.disk_usage(output.path.absolute().parent).free
    is_certain = output.is_raw or output.compression == "none"
    words = (
        f"{output.path}: up to {format_bytes(needed + kept)} of the disk are needed, and"
        f" {format_bytes(free)} are free"
    )
    if kept + needed * is_certain > free:
        raise InputError(f"{words}; free some space, or write to another disk")
    if needed + kept > free:
        _log.warning("%s; it may be full before the picture is finished", words)
