"""Latents and a model that fit each other: each narrows what the other may be."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import torch
from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import load, outline
from taesd_stream.engine.planner import Overlap, Tile
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource, open_latents
from taesd_stream.latents.opening import Latents
from taesd_stream.models import VARIANTS, variants_for
from tiling import TilePlan

__all__ = ["Model", "default_model", "open_with_model", "plan_for"]

_log = logging.getLogger("taesd_stream")

Model = str | os.PathLike[str] | Mapping[str, Tensor] | AutoEncoder


def default_model(channels: int) -> str:
    """The official model for latents of so many channels; four are taken for Stable Diffusion 1's.

    Raises:
        InputError: None has so many channels, or several very different ones have.

    >>> default_model(4)
    'taesd'
    """
    fitting = variants_for(channels)
    if not fitting:
        known = sorted({each.latent_channels for each in VARIANTS})
        raise InputError(
            f"model: no model takes latents of {channels} channels, only of"
            f" {', '.join(map(str, known))}; if the axes were misread, give --layout"
        )
    names = [each.name for each in fitting]
    if len(names) > 1 and names[0] != "taesd":
        choices = " or ".join(f"{each.name} ({each.latents_of})" for each in fitting)
        raise InputError(
            f"model: latents of {channels} channels may be for {choices}; say which with --model"
        )
    return names[0]


def open_with_model(
    latents: Latents,
    model: Model | None,
    *,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
) -> tuple[LatentSource, AutoEncoder]:
    """Open latents and load the model for them; without ``model``, the official one.

    Raises:
        InputError: Either cannot be opened, or they do not fit each other.
    """
    if model is None:
        source = open_latents(latents, layout=layout, key=key)
        model = default_model(source.channels)
        ae = load(model, variant=variant, device=device, dtype=dtype, backend=backend)
        _log.info("no model was given: %s, for latents of %d channels", model, source.channels)
        return source, ae
    if isinstance(model, AutoEncoder):
        ae = model
    else:
        ae = load(model, variant=variant, device=device, dtype=dtype, backend=backend)
    return open_latents(
        latents, layout=layout, key=key, channels=ae.spec.latent_channels
    ), ae  # fmt: skip


def plan_for(
    latents: Latents,
    *,
    model: str | os.PathLike[str] | None = None,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    frames: slice | None = None,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
) -> TilePlan:
    """What ``render`` would do with these latents; a model given by name needs no weights.

    Raises:
        InputError: As ``render``.
    """
    name = None if model is None else os.fspath(model)
    with open_latents(latents, layout=layout, key=key, channels=_channels_of(name)) as source:
        if name is None:
            name = default_model(source.channels)
        ae = outline(name, variant=variant, device=device, dtype=dtype, backend=backend)
        count = None
        if source.frames is not None:
            count = len(range(source.frames)[frames or slice(None)])
        shape = (source.channels, source.height, source.width)
        return ae.plan(shape, frames=count, tile=tile, overlap=overlap, memory=memory)


def _channels_of(name: str | None) -> int | None:
    """The channels of a variant, which may settle the layout; None for any other model."""
    found = [each.latent_channels for each in VARIANTS if name and each.name == name.lower()]
    return found[0] if found else None
