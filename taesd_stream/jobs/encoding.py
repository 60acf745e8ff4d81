"""From a video or pictures to a file of latents."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, Overlap, Tile, TileOptions, Wrap
from taesd_stream.errors import InputError
from taesd_stream.jobs.cluster.encoding import encode_frames_on_cluster, encode_picture_on_cluster
from taesd_stream.jobs.cluster.joined_cluster import check_cluster
from taesd_stream.jobs.cluster.sharing import shared_frames, shared_picture
from taesd_stream.jobs.cluster.work import ClusterWork
from taesd_stream.jobs.encoding_frames import FrameEncoding, encode_frames
from taesd_stream.jobs.encoding_output import (
    LatentOutput,
    check_channels,
    check_count,
    check_name,
    convention_of,
    is_stack,
)
from taesd_stream.jobs.encoding_picture import (
    PictureEncoding,
    encode_picture,
    is_read_in_regions,
)
from taesd_stream.jobs.model_for_latents import Model, load_model
from taesd_stream.jobs.progress import Reporting
from taesd_stream.jobs.remote_files import copies_inputs, delivers_output
from taesd_stream.jobs.results import Encoded
from taesd_stream.jobs.resume.fingerprint import with_recorded_tile
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.shortcuts import Shortcuts
from taesd_stream.models.vae_figures import FullVAE
from tiling import TilePlan
from video import open_reader
from video.large.reading import open_regions
from video.transparency import Background, Transparency

__all__ = ["encode_file"]


@delivers_output
@copies_inputs("images")
def encode_file(
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: Model | None = None,
    variant: str | None = None,
    convention: Convention | None = None,
    vae: FullVAE | None = None,
    frames: slice | None = None,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    wrap: Wrap = None,
    threads: int | None = None,
    seed: int | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    fast_norms: bool = False,
    fast_attention: int | None = None,
    resume: bool = False,
    cluster: str | None = None,
    overwrite: bool = False,
    background: Background = None,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
) -> Encoded:
    """Encode a video, a still, or numbered pictures into latents, in bounded memory.

    Args:
        images: A video file, a picture, a folder of pictures or a pattern such as "in/%05d.png";
            frames in one array as ``render`` writes them, .npy or .safetensors; or one picture of
            any size as .tif, .zarr or .npy, of which only parts are read at a time. Of
            s3://, gs:// or https://, a file, which is copied to a temporary one.
        out: .safetensors (key "latents") or .npy, which hold (T, C, h, w); .pt or .pth, a dict with
            them under "latents"; .latent for ComfyUI; .png for 8-bit latents of 4, 8 ...
            channels, with %d in the name for several. All but .npy and .png keep the video's rate,
            the pictures' size and the convention, which decoding goes by.
            An address of s3:// or gs:// is uploaded to when all is made.
        model: What ``load`` takes, or a loaded model; None is the official ``variant``, or taesd.
        convention: The scale of the latents: "model", as the diffusion model sees them, or "vae",
            as the full VAE's decode takes them; None is what ``load`` was told, or "model", and
            "vae" for .latent, which has no other.
        frames: Which frames, such as ``slice(10, 20)``; None is all.
        resume: Go on with what an earlier run has kept, and keep what is finished beside the output
            until all of it is; with ``cluster`` alone. Where the output is there already, made by
            the same run, nothing is done.
        cluster: A Ray cluster whose workers encode (extra ``ray``): its address, or "auto", which
            is that of RAY_ADDRESS, or else a local one of all cores or GPUs. The file is the same;
            finished parts are kept beside it. None encodes in this process.
        overwrite: Whether an existing file may be replaced.
        background: The colour that what is transparent is laid over: "white", "#00ff00", or three
            bytes. None is white, but for models of four ``spec.image_channels``, which take alpha.
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts: the one that is carried out and returned.

    The other keywords are those of ``load`` and ``AutoEncoder.encode``.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written, no file is left; or not uploaded, and the
            message says where it is kept.
        MissingExtraError: An address is given, and the extra ``remote`` is not installed.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    output = LatentOutput(Path(out), overwrite, resume)
    check_name(os.fspath(out), overwrite=overwrite or resume)
    check_cluster(cluster)
    if resume and cluster is None:
        raise InputError(
            "resume: expected --cluster (cluster= in Python) beside it, on which finished parts of"
            " latents are kept, found none; leave it out"
        )
    source = Path(images)
    convention = convention_of(output.path, convention)
    wanted = (variant or "taesd") if model is None else model
    shortcuts = Shortcuts(fast_norms, fast_attention)
    model_options = ModelOptions(variant, device, dtype, backend, vae=vae, shortcuts=shortcuts)
    ae = load_model(wanted, model_options)
    check_channels(output.path, ae)
    options = TileOptions(tile, overlap, memory, wrap=wrap, threads=threads, seed=seed)
    if resume:
        options = with_recorded_tile(options, output)
    scale = coder_of(ae, "encode").scale(convention)
    reporting = Reporting(progress, on_plan)
    transparency = Transparency.of(background, holds_alpha=ae.spec.has_alpha)
    # What is not known yet is the plan, and how workers get what is encoded.
    on_cluster = partial(ClusterWork, cluster or "", ae, "encode", wanted, model_options, options)
    in_bands = is_stack(output.path) and frames is None and is_read_in_regions(source)
    if in_bands and not coder_of(ae, "encode").remembers:
        with open_regions(source, transparency=transparency) as regions:
            picture = PictureEncoding.of(regions, ae, options, scale)
            if cluster is None:
                return encode_picture(picture, output, reporting)
            work = on_cluster(picture.run.plan, shared_picture(source, regions, transparency))
            return encode_picture_on_cluster(
                *(work, picture, output, reporting), transparency=transparency
            )
    with open_reader(source, transparency=transparency) as reader:
        count = reader.frame_count if cluster is None else reader.counted()
        encoding = FrameEncoding(reader, ae, options, scale, total=count, wanted=frames)
        check_count(output.path, encoding.count)
        if cluster is None:
            return encode_frames(encoding, output, reporting)
        if count is None:
            raise InputError(
                f"cluster: expected a file that tells how many frames it holds, found {source},"
                " which does not; convert it to .mp4, or encode it on one machine"
            )
        work = on_cluster(encoding.plan, shared_frames(reader, transparency))
        return encode_frames_on_cluster(
            *(work, encoding, output, reporting), transparency=transparency
        )
