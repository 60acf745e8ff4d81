"""One picture into a file, band by band, in memory that does not depend on its height."""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import nullcontext

from taesd_stream.engine.budget import peak_bytes
from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding_run import PictureDecoding
from taesd_stream.jobs.delivery.picture_file import needed_bytes_of, write_bands
from taesd_stream.jobs.progress import PictureProgress, Reporting
from taesd_stream.jobs.results import Rendered
from taesd_stream.jobs.resume.fingerprint import fingerprint_of
from taesd_stream.jobs.resume.finished import is_finished, remember_finished
from taesd_stream.jobs.resume.journal import Journal
from tiling import format_bytes

__all__ = ["write_picture"]

_log = logging.getLogger("taesd_stream")


def write_picture(decoding: PictureDecoding, reporting: Reporting) -> Rendered:
    """Decode one picture into a file.

    Raises:
        InputError: The disk cannot hold the picture, or it was begun from something else.
        OutputError: The picture could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    picture, output = decoding.run, decoding.output
    fingerprint = _fingerprint(decoding) if output.resume else None
    if fingerprint is not None and is_finished(output, fingerprint):
        return _rendered(decoding, None, ())
    _check_room(decoding)
    reporting.on_plan(picture.plan)
    start = time.perf_counter()
    journal = None if fingerprint is None else Journal.open(output.path, fingerprint)
    with nullcontext() if journal is None else journal:
        done = 0 if journal is None else _finished_rows(decoding, journal)
        size = picture.made
        shown = reporting.progress
        with PictureProgress(size.area, shown=shown, done=done * size.width) as bar:
            notes = write_bands(picture, output, journal, on_tile=bar.part)
        if journal is not None and fingerprint is not None:
            remember_finished(output.path, fingerprint)
            journal.finish()
    return _rendered(decoding, start, notes)


def _rendered(decoding: PictureDecoding, start: float | None, notes: tuple[str, ...]) -> Rendered:
    """The result; ``start`` is None where nothing was left to do."""
    return Rendered(
        path=decoding.output.path,
        frames=1,
        width=decoding.run.made.width,
        height=decoding.run.made.height,
        rate=None,
        seconds=0.0 if start is None else time.perf_counter() - start,
        peak_bytes=peak_bytes(decoding.ae.settings.device),
        plan=decoding.run.plan,
        notes=notes,
    )


def _fingerprint(decoding: PictureDecoding) -> dict[str, str]:
    return fingerprint_of(
        decoding.latents,
        [decoding.index],
        decoding.ae,
        decoding.run.plan,
        compression=decoding.output.chosen_compression,
        quality=decoding.output.quality,
    )


def _finished_rows(decoding: PictureDecoding, journal: Journal) -> int:
    """Count the rows that an earlier run has finished."""
    bands = decoding.run.bands
    if not journal.done:
        return 0
    if journal.done > len(bands):
        raise InputError(
            f"resume: expected at most {len(bands)} bands in {journal.folder}, found"
            f" {journal.done}; remove it to begin anew"
        )
    rows = bands[journal.done - 1].stop
    _log.info("going on after row %d of %d", rows, decoding.run.made.height)
    return rows


def _check_room(decoding: PictureDecoding) -> None:
    """Say how much of the disk is needed, where that may be more than there is.

    Raises:
        InputError: It is more for certain: pixels that are not compressed take their full size.
    """
    output = decoding.output
    needed, kept = needed_bytes_of(output, decoding.run.made)
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
