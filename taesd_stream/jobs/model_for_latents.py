"""Latents and a model that fit each other: each narrows down the other."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from torch import Tensor, nn

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import load_with, outline
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.settings import is_int8
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource
from taesd_stream.latents.iterator_source import IteratorSource
from taesd_stream.latents.opening import Latents, open_with
from taesd_stream.latents.read_options import LatentOptions
from taesd_stream.models import VARIANTS, variants_for

__all__ = ["Model", "default_model", "load_model", "open_with_model"]

_log = logging.getLogger("taesd_stream")

_DEFAULTS = ModelOptions()
_READ_PLAINLY = LatentOptions()

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
            " (layout= in Python)"
        )
    names = [each.name for each in fitting]
    if len({each.latents_of for each in fitting}) > 1 and names[0] != "taesd":
        choices = " or ".join(f"{each.name} ({each.latents_of})" for each in fitting)
        raise InputError(
            f"model: latents of {channels} channels may be for {choices}; say which with"
            " --model (model= in Python)"
        )
    return names[0]


def open_with_model(
    latents: Latents,
    model: Model | None,
    options: ModelOptions = _DEFAULTS,
    *,
    reading: LatentOptions = _READ_PLAINLY,
    planning: bool = False,
) -> tuple[LatentSource, AutoEncoder]:
    """Open latents and load the model for them.

    Without ``model`` it is the official one: of ``options.variant``, or else for the number of
    channels. For int8, without ``options.calibration``, it is calibrated on the latents, if they
    can be read twice.

    Args:
        reading: How the latents are read.
        planning: Make a model that can plan and not compute: one given by name needs no weights.

    Raises:
        InputError: Either cannot be opened, or they do not fit each other.
    """
    model = options.variant if model is None else model
    with ExitStack() as on_failure:
        if is_int8(options.dtype) and options.calibration is None and not planning:
            channels = _channels_of(model, options)
            source = on_failure.enter_context(open_with(latents, reading, channels))
            if not isinstance(source, IteratorSource):
                options = replace(options, calibration=source)
            ae = load_model(model or default_model(source.channels), options, planning=planning)
        elif model is not None:
            ae = load_model(model, options, planning=planning)
            source = open_with(latents, reading, frozenset([ae.spec.latent_channels]))
        else:
            source = on_failure.enter_context(open_with(latents, reading))
            ae = load_model(default_model(source.channels), options, planning=planning)
        on_failure.pop_all()
    if model is None:
        _log.info(
            "no model was given: %s, for latents of %d channels", ae.spec.name, source.channels
        )
    return source, ae


def _channels_of(model: Model | None, options: ModelOptions) -> frozenset[int] | None:
    """The channels of the latents of a model that will be calibrated on them; None if any."""
    if model is None:
        return None
    plain = replace(options, dtype="float32", backend="torch")
    return frozenset([load_model(model, plain, planning=True).spec.latent_channels])


def load_model(model: Model, options: ModelOptions, *, planning: bool = False) -> AutoEncoder:
    """Load a model that may be loaded already.

    Args:
        planning: As for ``open_with_model``.

    Raises:
        InputError: There is no such model.
    """
    if isinstance(model, AutoEncoder):
        return model
    if planning and not isinstance(model, Mapping | nn.Module):
        return outline(model, options)
    return load_with(model, options)
