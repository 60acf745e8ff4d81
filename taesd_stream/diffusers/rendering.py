"""From what a pipeline returns to a file: ``render``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from taesd_stream.diffusers.pipeline_latents import Returned, pictures_found, returned
from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import ModelOptions, Overlap, Tile
from taesd_stream.errors import InputError, LatentsError, LayoutError
from taesd_stream.jobs.decoding import render as render_latents
from taesd_stream.jobs.model_for_latents import Model, open_with_model
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.results import Rendered
from taesd_stream.latents import LatentSource
from taesd_stream.latents.read_options import LatentOptions
from taesd_stream.models.latent_spaces import Convention
from tiling import TilePlan

__all__ = ["render"]


def render(
    latents: Any,
    out: str | os.PathLike[str],
    *,
    pipe: Any = None,
    model: Model | None = None,
    variant: str | None = None,
    height: int | None = None,
    width: int | None = None,
    layout: str | None = None,
    convention: Convention | None = None,
    skip_latents: int | None = None,
    frames: slice | None = None,
    fps: str | int | float | Fraction | None = None,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    threads: int | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    audio: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
) -> Rendered:
    """Decode what a pipeline returns with ``output_type="latent"`` into a file, frame by frame.

    It takes the memory of a few frames, however many there are. Several clips of one batch become
    as many files of a video or an array: ``out_1.mp4`` and so on for ``out.mp4``.

    Args:
        latents: The pipeline's output, the ``frames`` or ``images`` in it, or what
            ``open_latents`` takes.
        out: As of ``taesd_stream.render``.
        pipe: The pipeline that made them: it tells their axes and scale, and the model.
        model: What ``load`` takes, or a loaded model. None is the pipeline's own VAE where that is
            a ``TiledVAE`` or an AutoencoderTiny, and else the official one for the latents of its
            VAE, which that one's scaling factor or means tell; for videos of Stable Diffusion
            taesdv, which is smooth in time.
        height, width: Of the pictures in pixels, as the pipeline was called with: for packed
            latents (FLUX, Qwen-Image, LTX) that are no squares.
        layout, convention: As of ``open_latents``, where the pipeline is none of diffusers'.
        skip_latents: How many to leave out at the start of each clip. None is none, but for the
            padding of CogVideoX 1.5.
        frames: Which frames of each clip; None is all.

    The other keywords are those of ``taesd_stream.render``.

    Returns:
        What was made; of several files together, by the pattern of their names, ``out_%d.mp4``.

    Raises:
        InputError: These are no latents, their axes or size are not known, no model is known to fit
            them, or something else given is wrong; no file is left.
        OutputError: The output could not be written.
    """
    found = returned(latents, pipe)
    reading = _reading(found, layout, convention, skip_latents, (height, width))
    vae = found.vae if reading.convention == "vae" else None
    options = ModelOptions(variant, device, dtype, backend, vae=vae)
    source, ae = _opened(
        found, found.model() if model is variant is None else model, options, reading
    )
    into = partial(
        render_latents,
        model=ae,
        frames=frames,
        fps=fps,
        tile=tile,
        overlap=overlap,
        memory=memory,
        threads=threads,
        codec=codec,
        crf=crf,
        lossless=lossless,
        audio=audio,
        overwrite=overwrite,
        progress=progress,
        on_plan=on_plan,
    )
    with source:
        is_several = isinstance(found.latents, Tensor) and 1 < source.clips < len(source)
        output = Output(out, overwrite=overwrite)
        if not is_several or output.makes_pictures or output.is_stream:
            return into(source, out)
    return _each(found.latents, output, partial(into, **vars(reading)))


def _reading(
    found: Returned,
    layout: str | None,
    convention: Convention | None,
    skip_latents: int | None,
    size: tuple[int | None, int | None],
) -> LatentOptions:
    """How latents are read: as the caller says, or else as their pipeline's are."""
    height, width = size
    if (height is None) != (width is None):
        raise InputError(
            f"size: expected both height= and width=, or neither, found height {height} and width"
            f" {width}"
        )
    return LatentOptions(
        layout or found.layout,
        None,
        convention or found.convention,
        None if height is None or width is None else (height, width),
        found.padding() if skip_latents is None else skip_latents,
    )


def _opened(
    found: Returned, model: Model | None, options: ModelOptions, reading: LatentOptions
) -> tuple[LatentSource, AutoEncoder]:
    """The source of the latents, and the model.

    Raises:
        InputError: Either cannot be opened, or they do not fit each other.
    """
    try:
        return open_with_model(found.latents, model, options, reading=reading)
    except LatentsError as error:
        if found.may_be_rgb:
            raise pictures_found(f"a tensor of {found.size}") from error
        if not isinstance(error, LayoutError) or len(found.size) != 3 or reading.layout:
            raise
        size = f"{reading.size[1]}x{reading.size[0]}" if reading.size else "none"
        raise LayoutError(
            "size: expected the height= and width= that the pipeline was called with, since its"
            f" latents are packed; found {size}, for {found.size[1]} tokens of {found.size[2]}",
            readings=(),
        ) from error


def _each(clips: Tensor, output: Output, into: Callable[..., Rendered]) -> Rendered:
    """Each clip, (N, ...), in a file of its own, and all of them as one result."""
    pattern = output.path.with_name(f"{output.path.stem}_%d{output.path.suffix}")
    names = [
        output.path.with_name(f"{output.path.stem}_{number}{output.path.suffix}")
        for number in range(1, clips.shape[0] + 1)
    ]
    for name in names:
        Output(name, overwrite=output.overwrite).check_place()
    made = [into(clips[index : index + 1], name) for index, name in enumerate(names)]
    return replace(
        made[0],
        path=Path(pattern),
        frames=sum(each.frames for each in made),
        seconds=sum(each.seconds for each in made),
        peak_bytes=max(each.peak_bytes for each in made),
        notes=tuple(dict.fromkeys(note for each in made for note in each.notes)),
    )
