"""Latents and a model that fit each other: each narrows what the other may be."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TypedDict

import torch
from torch import Tensor, nn

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import load, outline
from taesd_stream.engine.settings import is_int8
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource, open_latents
from taesd_stream.latents.iterator_source import IteratorSource
from taesd_stream.latents.opening import Latents
from taesd_stream.models import VARIANTS, variants_for

__all__ = [
    "AHEAD",
    "Model",
    "default_model",
    "open_with_model",
]

AHEAD = 64
"""Latents that may be read from a file before the frames of the first of them are written."""

_log = logging.getLogger("taesd_stream")

Model = str | os.PathLike[str] | Mapping[str, Tensor] | nn.Module | AutoEncoder


def default_model(channels: int) -> str:
    """The official model for latents of so many channels; four are taken for Stable Diffusion 1's.

    Of several for the latents of one diffusion model it is the first and smallest.

    Raises:
        InputError: None has so many channels, or several for very different latents have.

    >>> default_model(4), default_model(48)
    ('taesd', 'taew2_2')
    """
    fitting = variants_for(channels)
    if not fitting:
        known = sorted({each.latent_channels for each in VARIANTS})
        raise InputError(
            f"model: no model takes latents of {channels} channels, only of"
            f" {', '.join(map(str, known))}; if the axes were misread, give --layout"
        )
    names = [each.name for each in fitting]
    if len({each.latents_of for each in fitting}) > 1 and names[0] != "taesd":
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
    time_upscale: bool = True,
    space_upscale: bool = True,
    calibration: Latents | None = None,
    planning: bool = False,
) -> tuple[LatentSource, AutoEncoder]:
    """Open latents and load the model for them.

    Without ``model`` it is the official one: of ``variant``, or else for the number of channels.
    For int8, without ``calibration``, it is calibrated on the latents, if they can be read twice.

    Args:
        planning: Make a model that can plan and not compute: one given by name needs no weights.

    Raises:
        InputError: Either cannot be opened, or they do not fit each other.
    """
    settings = _Settings(
        variant=variant, device=device, dtype=dtype, backend=backend,
        time_upscale=time_upscale, space_upscale=space_upscale,
    )  # fmt: skip
    model = variant if model is None else model
    with ExitStack() as on_failure:
        if is_int8(dtype) and calibration is None and not planning:
            source = on_failure.enter_context(_opened_for(latents, model, settings, layout, key))
            calibration = None if isinstance(source, IteratorSource) else source
            ae = _loaded(model or default_model(source.channels), settings, calibration, planning)
        elif model is not None:
            ae = _loaded(model, settings, calibration, planning)
            channels = ae.spec.latent_channels
            source = open_latents(latents, layout=layout, key=key, channels=channels)
        else:
            source = on_failure.enter_context(open_latents(latents, layout=layout, key=key))
            ae = _loaded(default_model(source.channels), settings, calibration, planning)
        on_failure.pop_all()
    if model is None:
        _log.info(
            "no model was given: %s, for latents of %d channels", ae.spec.name, source.channels
        )
    return source, ae


def _opened_for(
    latents: Latents, model: Model | None, settings: _Settings, layout: str | None, key: str | None
) -> LatentSource:
    """Latents, opened before the model that is calibrated on them."""
    channels = None
    if isinstance(model, AutoEncoder):
        channels = model.spec.latent_channels
    elif model is not None:
        plain = _Settings(**settings | {"dtype": "float32", "backend": "torch"})
        known = (
            load(model, **plain)
            if isinstance(model, Mapping | nn.Module)
            else outline(model, **plain)
        )
        channels = known.spec.latent_channels
    return open_latents(latents, layout=layout, key=key, channels=channels)


class _Settings(TypedDict):
    variant: str | None
    device: str | torch.device
    dtype: str | torch.dtype
    backend: str
    time_upscale: bool
    space_upscale: bool


def _loaded(
    model: Model, settings: _Settings, calibration: Latents | None, planning: bool
) -> AutoEncoder:
    if isinstance(model, AutoEncoder):
        return model
    if planning and not isinstance(model, Mapping | nn.Module):
        return outline(model, **settings)
    return load(model, **settings, calibration=calibration)
