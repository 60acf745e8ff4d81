"""Which pictures are decoded band by band, and what that takes besides writing them."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.budget import peak_bytes
from taesd_stream.engine.options import TileKeywords
from taesd_stream.engine.streams.frame_windows import chosen_frames
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.errors import InputError
from taesd_stream.jobs.delivery.frame_sinks import is_large_format
from taesd_stream.jobs.delivery.picture_file import PictureFile, write_picture
from taesd_stream.jobs.progress import PictureProgress
from taesd_stream.jobs.rendered import Rendered
from taesd_stream.jobs.resume.journal import Journal
from taesd_stream.jobs.resume.resumed_video import as_recorded, settings_of
from taesd_stream.latents import LatentSource, open_latents
from tiling import Size, TilePlan, format_bytes
from video.large import ROW_SUFFIXES

__all__ = ["goes_in_bands", "open_one", "render_picture"]

_log = logging.getLogger("taesd_stream")


def render_picture(
    source: LatentSource,
    ae: AutoEncoder,
    file: PictureFile,
    options: TileKeywords,
    *,
    frames: slice | None,
    resume: bool,
    progress: bool,
    on_plan: Callable[[TilePlan], None],
) -> Rendered:
    """Decode one picture into a file, in memory that does not depend on its height.

    Args:
        source: Where the latent is.
        file: Where the picture goes.
        frames: Which latent, where there are several.
        resume: Whether finished rows are kept, and those of an earlier run are gone on from.

    Raises:
        InputError: There is not one latent, or the disk cannot hold the picture.
        OutputError: The picture could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    latents, index = _one_of(source, frames, file.path)
    if resume:
        options = as_recorded(options, file.path)
    picture = ae.open_picture(latents, index, **options)
    size = picture.made
    _check_room(file, size, resume=resume)
    on_plan(picture.plan)
    start = time.perf_counter()
    journal = None
    if resume:
        settings = settings_of(
            latents, [index], ae, picture.plan,
            compression=file.compression, quality=file.quality,
        )  # fmt: skip
        journal = Journal.open(file.path, settings)
    with nullcontext() if journal is None else journal:
        done = 0 if journal is None else _finished_rows(picture, journal)
        with PictureProgress(size.area, shown=progress, done=done * size.width) as bar:
            notes = write_picture(picture, file, journal, on_tile=bar.part)
    return Rendered(
        path=file.path,
        frames=1,
        width=size.width,
        height=size.height,
        rate=None,
        seconds=time.perf_counter() - start,
        peak_bytes=peak_bytes(ae.settings.device),
        plan=picture.plan,
        notes=notes,
    )


def open_one(
    source: LatentSource,
    ae: AutoEncoder,
    file: PictureFile,
    options: TileKeywords,
    *,
    frames: slice | None,
) -> PictureRun:
    """The one picture that is wanted, ready to be made in bands.

    Raises:
        InputError: There is not one latent, or nothing fits the budget.
    """
    latents, index = _one_of(source, frames, file.path)
    return ae.open_picture(latents, index, **options)


def _finished_rows(picture: PictureRun, journal: Journal) -> int:
    """How many rows an earlier run has finished."""
    bands = picture.bands
    if not journal.done:
        return 0
    if journal.done > len(bands):
        raise InputError(
            f"resume: expected at most {len(bands)} bands in {journal.folder}, found"
            f" {journal.done}; remove it to begin anew"
        )
    rows = bands[journal.done - 1].stop
    _log.info("going on after row %d of %d", rows, picture.made.height)
    return rows


def goes_in_bands(
    file: PictureFile,
    source: LatentSource,
    ae: AutoEncoder,
    options: TileKeywords,
    frames: slice | None,
    *,
    resume: bool,
) -> bool:
    """Whether what is asked for is one picture that is to be made band by band.

    It is for .tif, .ome.zarr and .dzi. Pictures as .png and arrays as .npy are where there is one
    and it has not enough room in memory as a whole, is to be resumed, or to be previewed.
    """
    name = file.path.name.lower()
    if ae.is_for_videos("decode") or not name.endswith(ROW_SUFFIXES):
        return False
    if is_large_format(name):
        return True
    count = source.frames
    wanted = 1 if count is None else len(chosen_frames(count, frames))
    if count is None or wanted != 1 or "%" in name or file.path.is_dir():
        return False
    plan = ae.plan((source.channels, source.height, source.width), **options)
    is_large = 3 * plan.pixels.area > plan.budget_bytes // 4
    return resume or file.preview is not None or is_large


def _one_of(source: LatentSource, frames: slice | None, path: Path) -> tuple[LatentSource, int]:
    """The one latent that is wanted, in a source whose parts can be read."""
    if source.frames is not None:
        chosen = chosen_frames(source.frames, frames)
        if len(chosen) != 1:
            raise _several(path, str(len(chosen)))
        return source, chosen[0]
    chosen = chosen_frames(None, frames)
    found = list(islice(source, chosen.start, min(chosen.stop, chosen.start + 2)))
    if len(found) != 1:
        raise _several(path, "several" if found else "no")
    return open_latents(found[0], layout="CHW"), 0


def _several(path: Path, count: str) -> InputError:
    return InputError(
        f"output: {path} is one picture, and there are {count} latents; give --frames N for one"
    )


def _check_room(file: PictureFile, size: Size, *, resume: bool) -> None:
    """Say how much of the disk is needed, where that may be more than there is.

    Raises:
        InputError: It is more for certain: what is not compressed is.
    """
    needed, kept = file.needed_bytes(size, resume=resume)
    free = shutil.disk_usage(file.path.absolute().parent).free
    is_certain = file.is_raw or file.compression == "none"
    words = (
        f"{file.path}: up to {format_bytes(needed + kept)} of the disk are needed, and"
        f" {format_bytes(free)} are free"
    )
    if kept + needed * is_certain > free:
        raise InputError(f"{words}; free some space, or write to another disk")
    if needed + kept > free:
        _log.warning("%s; it may be full before the picture is finished", words)
