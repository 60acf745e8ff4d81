"""What a decode would do, without doing it."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Unpack

import torch

from taesd_stream.engine.options import TileKeywords
from taesd_stream.jobs.decoding_picture import goes_in_bands, open_one
from taesd_stream.jobs.delivery.picture_file import PictureFile
from taesd_stream.jobs.model_for_latents import AHEAD, Model, open_with_model
from taesd_stream.latents.opening import Latents
from tiling import TilePlan

__all__ = ["plan_for"]


def plan_for(
    latents: Latents,
    out: str | os.PathLike[str] | None = None,
    *,
    model: Model | None = None,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    frames: slice | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
    **options: Unpack[TileKeywords],
) -> TilePlan:
    """What ``render`` would do with these latents; a model given by name needs no weights.

    Args:
        out: Where it would put them: a picture of any size is made in bands, which takes another
            plan than a video. None is a video.

    Raises:
        InputError: As ``render``.

    >>> print(plan_for(torch.zeros(81, 4, 60, 104), model="latent2rgb").frames)
    81
    """
    source, ae = open_with_model(
        latents, model, variant=variant, layout=layout, key=key,
        device=device, dtype=dtype, backend=backend, time_upscale=time_upscale,
        space_upscale=space_upscale, planning=True,
    )  # fmt: skip
    with nullcontext() if source is latents else source:
        if out is not None:
            file = PictureFile(Path(out))
            if goes_in_bands(file, source, ae, options, frames, resume=False):
                return open_one(source, ae, file, options, frames=frames).plan
        return ae.plan_stream(source, frames=frames, ahead=AHEAD, **options)
