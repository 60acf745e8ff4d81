"""From latents to a file: the one place where sources, engine and video files are joined."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Unpack

import torch

from taesd_stream.engine.options import TileKeywords
from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding_frames import render_frames
from taesd_stream.jobs.decoding_picture import goes_in_bands, render_picture
from taesd_stream.jobs.delivery.frame_sinks import VideoKeywords, check_name, refuse
from taesd_stream.jobs.delivery.picture_file import PictureFile
from taesd_stream.jobs.delivery.preview import check_preview
from taesd_stream.jobs.model_for_latents import Model, open_with_model
from taesd_stream.jobs.rendered import Rendered
from taesd_stream.jobs.resume.journal import folder_of
from taesd_stream.latents.opening import Latents
from tiling import TilePlan
from video import parse_rate

__all__ = ["render"]

_log = logging.getLogger("taesd_stream")


def render(
    latents: Latents,
    out: str | os.PathLike[str],
    *,
    model: Model | None = None,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    frames: slice | None = None,
    fps: str | int | float | Fraction = 24,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
    calibration: Latents | None = None,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    audio: str | os.PathLike[str] | None = None,
    compression: str | None = None,
    quality: int | None = None,
    preview: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
    **options: Unpack[TileKeywords],
) -> Rendered:
    """Decode latents into a video, pictures, or an array, in bounded memory.

    Args:
        latents: A path, "-", a tensor, or an iterator of (C, h, w); see ``open_latents``.
        out: .mp4 .mov .mkv .webm .gif .webp; .png .jpg for one still, or numbered pictures where
            the name holds %d or is a folder; .npy for uint8 (T, H, W, 3); .safetensors for uint8
            (T, 3, H, W) under the key "images"; "-" for Matroska on standard output. One picture
            of any size: .tif .tiff (pyramidal BigTIFF), .ome.zarr, .dzi (Deep Zoom), and .png and
            .npy where it is large.
        model: What ``load`` takes, or a loaded model; None is the official one for the channels.
        frames: Which frames, such as ``slice(10, 20)``; None is all.
        fps: Frames per second: 24, "24000/1001", "23.976", or a Fraction.
        audio: A file whose sound goes along.
        compression: Of a picture: deflate, jpeg or none in .tif, zstd or none in .ome.zarr, jpeg or
            png in .dzi; None is the first of these.
        quality: Of jpeg, 1 to 100; None is 90.
        preview: A small picture to be written again and again while a picture is made; of a run
            that is gone on with, it may be there already.
        resume: Keep what is finished beside a picture, or a video as .mp4 .mov .mkv .webm, until
            all of it is, and go on from what an earlier run has kept.
        overwrite: Whether an existing file may be replaced.
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts.

    The other keywords are those of ``load``, ``AutoEncoder.decode`` and ``video.open_writer``.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = render(torch.zeros(2, 4, 4, 6), f"{folder}/a.mp4", model="latent2rgb")
    ...     done.frames, done.width, done.height
    (2, 48, 32)
    """
    rate = parse_rate(fps)
    check_name(out, overwrite=overwrite, compression=compression, quality=quality)
    if preview is not None:
        is_going_on = resume and folder_of(out).is_dir()
        check_preview(preview, out, overwrite=overwrite or is_going_on)
    if not resume and folder_of(out).is_dir():
        _log.info(
            "an unfinished run of %s is kept in %s: --resume goes on with it", out, folder_of(out)
        )
    source, ae = open_with_model(
        latents, model, variant=variant, layout=layout, key=key,
        device=device, dtype=dtype, backend=backend,
        time_upscale=time_upscale, space_upscale=space_upscale, calibration=calibration,
    )  # fmt: skip
    with nullcontext() if source is latents else source:
        picture = PictureFile(Path(out), compression, quality, overwrite, preview)
        if goes_in_bands(picture, source, ae, options, frames, resume=resume):
            refuse(picture.path.suffix, "is a picture", codec=codec, crf=crf, audio=audio)
            return render_picture(
                source, ae, picture, options,
                frames=frames, resume=resume, progress=progress, on_plan=on_plan,
            )  # fmt: skip
        if preview is not None:
            raise InputError(
                f"preview: expected one picture that is made in bands, found {os.fspath(out)} of"
                f" {ae.spec.name}; leave it out"
            )
        video = VideoKeywords(
            rate=rate, codec=codec, crf=crf, lossless=lossless, audio=audio,
            compression=compression, quality=quality, overwrite=overwrite,
        )  # fmt: skip
        return render_frames(
            source, ae, out, video, options,
            frames=frames, resume=resume, progress=progress, on_plan=on_plan,
        )  # fmt: skip
