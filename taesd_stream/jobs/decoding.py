"""From latents to a file: ``render``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from fractions import Fraction

import torch

from taesd_stream.engine.options import Crop, ModelOptions, Overlap, Tile, TileOptions, Wrap
from taesd_stream.jobs.cluster.decoding import decode_on_cluster, plan_on_cluster
from taesd_stream.jobs.cluster.joined_cluster import check_cluster
from taesd_stream.jobs.cluster.sharing import shared_latents
from taesd_stream.jobs.cluster.work import ClusterWork
from taesd_stream.jobs.decoding_frames import write_frames
from taesd_stream.jobs.decoding_picture import write_picture
from taesd_stream.jobs.decoding_run import PictureDecoding, open_decoding
from taesd_stream.jobs.model_for_latents import Model, open_with_model
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.progress import OnProgress, Reporting
from taesd_stream.jobs.remote_files import copies_inputs, delivers_output
from taesd_stream.jobs.results import Rendered
from taesd_stream.jobs.resume.journal import folder_of
from taesd_stream.jobs.time_in_plan import tell_time
from taesd_stream.latents.opening import Latents
from taesd_stream.latents.read_options import LatentOptions
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.shortcuts import Shortcuts
from taesd_stream.models.vae_figures import FullVAE
from tiling import TilePlan
from video.transparency import Background

__all__ = ["plan_for", "render"]

_VIDEO = "out.mp4"

_log = logging.getLogger("taesd_stream")


@delivers_output
@copies_inputs("audio")
def render(
    latents: Latents,
    out: str | os.PathLike[str],
    *,
    model: Model | None = None,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    convention: Convention | None = None,
    vae: FullVAE | None = None,
    size: tuple[int, int] | None = None,
    skip_latents: int = 0,
    frames: slice | None = None,
    fps: str | int | float | Fraction | None = None,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    crop: Crop = None,
    wrap: Wrap = None,
    threads: int | None = None,
    chunk: int | None = None,
    seed: int | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
    fast_norms: bool = False,
    fast_attention: int | None = None,
    calibration: Latents | None = None,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    audio: str | os.PathLike[str] | None = None,
    compression: str | None = None,
    quality: int | None = None,
    preview: str | os.PathLike[str] | None = None,
    resume: bool = False,
    cluster: str | None = None,
    overwrite: bool = False,
    background: Background = None,
    metadata: Mapping[str, str] | None = None,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
    on_progress: OnProgress = lambda done, total: None,
) -> Rendered:
    """Decode latents into a video, pictures, or an array, in bounded memory.

    Args:
        latents: A path, an address such as "s3://bucket/z.pt", "-", a tensor, or an iterator of
            (C, h, w); see ``open_latents``.
        out: .mp4 .mov .mkv .webm .gif .webp; .png .jpg for one still, or numbered pictures where
            the name holds %d or is a folder; .npy for uint8 (T, H, W, 3); .safetensors for uint8
            (T, 3, H, W) under the key "images"; "-" for Matroska on standard output. One picture
            of any size: .tif .tiff (pyramidal BigTIFF), .ome.zarr, .dzi (Deep Zoom), and .png and
            .npy where it is large. An address of s3:// or gs:// is uploaded to when all is made.
        model: What ``load`` takes, or a loaded model; None is the official one for the channels.
        layout, key, convention, size, skip_latents: As of ``open_latents``.
        frames: Which frames, such as ``slice(10, 20)``; None is all.
        fps: Frames per second: 24, "24000/1001", "23.976", or a Fraction; None is the rate that a
            file of latents says their video had, or else 24.
        codec: What ``video.choose_codec`` takes; None is the suffix's.
        crf: Quality of a video, 0 is best; None is the codec's.
        lossless: Keep every RGB byte.
        audio: A file whose sound goes along: that of the frames that are made.
        compression: Of a picture: deflate, jpeg or none in .tif, zstd or none in .ome.zarr, jpeg or
            png in .dzi; None is the first of these, or of those that keep every byte.
        quality: Of jpeg, 1 to 100; None is 90.
        preview: A small picture to be written again and again while a picture is made; of a run
            that is gone on with, it may be there already.
        resume: Keep what is finished beside a picture, or a video as .mp4 .mov .mkv .webm, until
            all of it is, and go on from what an earlier run has kept. Where the output is there
            already, made by the same run, nothing is done.
        cluster: A Ray cluster whose workers decode (extra ``ray``): its address, or "auto", which
            is that of RAY_ADDRESS, or else a local one of all cores or GPUs. The file is the same;
            finished parts are kept beside it, as with ``resume``. None decodes in this process.
        overwrite: Whether an existing file may be replaced.
        background: The colour that pictures with transparency are laid over: "white", "#00ff00", or
            three bytes. None keeps the transparency where the file does, and is white elsewhere.
        metadata: Names and texts that a video keeps, such as ``{"prompt": "a castle"}``.
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts: the one that is carried out and returned.
        on_progress: Told after every tile how many frames are done, parts of them included, and of
            how many (None where nobody knows); of a picture that is made in bands, how many pixels.
            What it raises ends the work as any error does: no file is left.

    The other keywords are those of ``load`` and ``AutoEncoder.decode``; without ``crop``, pictures
    have the true size that a file of latents says they had.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written, no file is left; or not uploaded, and the
            message says where it is kept.
        MissingExtraError: An address is given, or a cluster, and the extra is not installed.
        Interrupted: Ctrl-C; the message says what is left and where.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = render(torch.zeros(2, 4, 4, 6), f"{folder}/a.mp4", model="latent2rgb")
    ...     done.frames, done.width, done.height
    (2, 48, 32)
    """
    output = Output(
        *(out, fps, codec, crf, lossless, audio, compression, quality, preview, resume, overwrite),
        background=background,
        metadata=tuple((metadata or {}).items()),
    )
    output.check_place()
    check_cluster(cluster)
    if cluster is None and not resume and folder_of(out).is_dir():
        _log.info(
            "an unfinished run of %s is kept in %s: --resume (resume=True in Python) goes on",
            *(out, folder_of(out)),
        )
    model_options = ModelOptions(
        *(variant, device, dtype, backend, time_upscale, space_upscale, calibration),
        vae=vae,
        shortcuts=Shortcuts(fast_norms, fast_attention),
    )
    tile_options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
    reading = LatentOptions(layout, key, convention, size, skip_latents)
    source, ae = open_with_model(latents, model, model_options, reading=reading)
    with nullcontext() if source is latents else source:
        decoding = open_decoding(source, ae, tile_options, output, frames)
        tell_time(ae, decoding.run, model_options)
        reporting = Reporting(progress, on_plan, on_progress)
        if cluster is not None:
            work = ClusterWork(
                *(cluster, ae, "decode", model, model_options, decoding.options, decoding.run.plan),
                sharing=shared_latents(latents, reading, source),
            )
            return decode_on_cluster(work, decoding, reporting)
        if isinstance(decoding, PictureDecoding):
            return write_picture(decoding, reporting)
        return write_frames(decoding, reporting)


def plan_for(
    latents: Latents,
    out: str | os.PathLike[str] | None = None,
    *,
    model: Model | None = None,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    convention: Convention | None = None,
    vae: FullVAE | None = None,
    size: tuple[int, int] | None = None,
    skip_latents: int = 0,
    frames: slice | None = None,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    crop: Crop = None,
    wrap: Wrap = None,
    threads: int | None = None,
    chunk: int | None = None,
    seed: int | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
    fast_norms: bool = False,
    fast_attention: int | None = None,
    cluster: str | None = None,
) -> TilePlan:
    """The plan of what ``render`` would do; a model given by name needs no weights for it.

    Args:
        out: Where it would put them: a picture of any size is made in bands, which takes another
            plan than a video. None is a video.
        cluster: The Ray cluster whose workers would do it: units, bytes and time are told, too.

    Raises:
        InputError: As ``render``.

    >>> print(plan_for(torch.zeros(81, 4, 60, 104), model="latent2rgb").frames)
    81
    """
    shortcuts = Shortcuts(fast_norms, fast_attention)
    model_options = ModelOptions(
        variant, device, dtype, backend, time_upscale, space_upscale, vae=vae, shortcuts=shortcuts
    )
    tile_options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
    output = Output(_VIDEO if out is None else out)
    check_cluster(cluster)
    reading = LatentOptions(layout, key, convention, size, skip_latents)
    source, ae = open_with_model(latents, model, model_options, reading=reading, planning=True)
    with nullcontext() if source is latents else source:
        decoding = open_decoding(source, ae, tile_options, output, frames)
        tell_time(ae, decoding.run, model_options, planning=True)
        if cluster is None:
            return decoding.run.plan
        work = ClusterWork(
            *(cluster, ae, "decode", model, model_options, decoding.options, decoding.run.plan),
            sharing=shared_latents(latents, reading, source),
        )
        return plan_on_cluster(work, decoding)
