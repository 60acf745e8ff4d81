"""From a video or pictures to a file of latents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, Overlap, Tile, TileOptions, Wrap
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.engine.streams.frame_windows import chosen_frames
from taesd_stream.errors import InputError
from taesd_stream.jobs.delivery.frame_sinks import Frame
from taesd_stream.jobs.delivery.waiting import frames_that_wait
from taesd_stream.jobs.encoding_output import (
    KnownLatents,
    check_channels,
    check_count,
    check_name,
    convention_of,
    is_stack,
    write_pictures,
    write_stack,
)
from taesd_stream.jobs.encoding_picture import encode_picture, is_read_in_regions
from taesd_stream.jobs.model_for_latents import Model, load_model
from taesd_stream.jobs.progress import FrameProgress, Reporting
from taesd_stream.jobs.results import Encoded, encoded
from taesd_stream.jobs.time_in_plan import tell_time
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.shortcuts import Shortcuts
from taesd_stream.models.vae_figures import FullVAE
from tiling import Size, TilePlan, plural
from video import FrameReader, open_reader
from video.background import ReadAhead
from video.large.reading import open_regions
from video.transparency import Background, Transparency

__all__ = ["encode_file"]

_DEFAULTS = ModelOptions()


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
    overwrite: bool = False,
    background: Background = None,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
) -> Encoded:
    """Encode a video, a still, or numbered pictures into latents, in bounded memory.

    Args:
        images: A video file, a picture, a folder of pictures or a pattern such as "in/%05d.png";
            frames in one array as ``render`` writes them, .npy or .safetensors; or one picture of
            any size as .tif, .zarr or .npy, of which only parts are read at a time.
        out: .safetensors (key "latents") or .npy, which hold (T, C, h, w); .pt or .pth, a dict with
            them under "latents"; .latent for ComfyUI; .png for 8-bit latents of 4, 8 ...
            channels, with %d in the name for several. All but .npy and .png keep the video's rate,
            the pictures' size and the convention, which decoding goes by.
        model: What ``load`` takes, or a loaded model; None is the official ``variant``, or taesd.
        convention: The scale of the latents: "model", as the diffusion model sees them, or "vae",
            as the full VAE's decode takes them; None is what ``load`` was told, or "model", and
            "vae" for .latent, which has no other.
        frames: Which frames, such as ``slice(10, 20)``; None is all.
        overwrite: Whether an existing file may be replaced.
        background: The colour that what is transparent is laid over: "white", "#00ff00", or three
            bytes. None is white, but for models of four ``spec.image_channels``, which take alpha.
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts: the one that is carried out and returned.

    The other keywords are those of ``load`` and ``AutoEncoder.encode``.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    check_name(os.fspath(out), overwrite=overwrite)
    source, target = Path(images), Path(out)
    convention = convention_of(target, convention)
    wanted = (variant or "taesd") if model is None else model
    shortcuts = Shortcuts(fast_norms, fast_attention)
    model_options = ModelOptions(variant, device, dtype, backend, vae=vae, shortcuts=shortcuts)
    ae = load_model(wanted, model_options)
    check_channels(target, ae)
    options = TileOptions(tile, overlap, memory, wrap=wrap, threads=threads, seed=seed)
    scale = coder_of(ae, "encode").scale(convention)
    reporting = Reporting(progress, on_plan)
    transparency = Transparency.of(background, holds_alpha=ae.spec.has_alpha)
    in_bands = is_stack(target) and frames is None and is_read_in_regions(source)
    if in_bands and not coder_of(ae, "encode").remembers:
        return encode_picture(
            open_regions(source, transparency=transparency),
            target,
            ae,
            options,
            scale=scale,
            overwrite=overwrite,
            reporting=reporting,
        )
    with open_reader(source, transparency=transparency) as reader:
        job = _FrameEncoding(reader, ae, options, frames, scale=scale, reporting=reporting)
        check_count(target, job.count)
        start = time.perf_counter()
        with closing(job.latents()) as latents:
            writer = write_stack if is_stack(target) else write_pictures
            written, notes = writer(target, latents, job.known, overwrite)
        notes += reader.notes
    return encoded(
        ae,
        target,
        job.plan,
        start,
        frames=job.encoded,
        latents=written,
        notes=(*notes, *job.known.lost_in(target), *_lost_frames(ae, job.encoded, written)),
    )


class _FrameEncoding:
    """Frames that are read ahead and encoded, under one plan.

    Attributes:
        count: How many frames there will be; None if nobody knows.
        plan: How they are cut.
        known: What is known of the latents that they become.
        encoded: How many frames are done with.
    """

    def __init__(
        self,
        reader: FrameReader,
        ae: AutoEncoder,
        options: TileOptions,
        frames: slice | None,
        *,
        scale: LatentScale,
        reporting: Reporting,
    ) -> None:
        self._reader, self._reporting = reader, reporting
        self._chosen = chosen_frames(reader.frame_count, frames)
        rate = reader.rate / self._chosen.step if reader.knows_rate else None
        size = reader.height, reader.width
        self.known = KnownLatents(LatentMetadata(scale.convention, rate, size), ae.spec)
        self.count = None if reader.frame_count is None else len(self._chosen)
        self._stream = EncodeStream(
            coder_of(ae, "encode", options.seed),
            options,
            count=self.count,
            convention=scale.convention,
            on_tile=self._on_tile,
        )
        plane = Size(reader.height, reader.width)
        self._stream.plan_for(plane)
        tell_time(ae, self._stream, _DEFAULTS)
        self.plan = self._stream.plan_for(plane)
        self._bar: FrameProgress | None = None
        self.encoded = 0

    def latents(self) -> Generator[Tensor]:
        """The latents, each as soon as it is known."""
        self._reporting.on_plan(self.plan)
        reader = self._reader
        waiting = frames_that_wait(Size(reader.height, reader.width))
        with (
            FrameProgress(
                self.count, shown=self._reporting.progress, seconds=self.plan.seconds
            ) as self._bar,
            ReadAhead(_frames(reader, self._chosen), most=waiting) as ahead,
        ):
            yield from self._stream.encode(self._counted(ahead, self._bar))

    def _counted(self, images: Iterator[Frame], bar: FrameProgress) -> Iterator[Frame]:
        for image in images:
            yield image
            self.encoded += 1
            bar.frame()

    def _on_tile(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.part(done, total)


def _frames(reader: FrameReader, chosen: range) -> Iterator[Frame]:
    some = False
    for frame in reader.frames_of(chosen):
        some = True
        yield frame.image
    if not some:
        raise InputError(
            f"frames: {reader.path} has no frame from {chosen.start} on; give a smaller start"
        )


def _lost_frames(ae: AutoEncoder, frames: int, latents: int) -> tuple[str, ...]:
    """A remark where a decode of the latents has not as many frames as were encoded."""
    decoded = ae.spec.timing.frames(latents)
    if decoded == frames:
        return ()
    verb = "decodes" if latents == 1 else "decode"
    return (f"{plural(latents, 'latent')} {verb} to {plural(decoded, 'frame')}, not {frames}",)
