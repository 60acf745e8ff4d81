"""A loaded model on another device, or in another precision."""

from __future__ import annotations

import torch

from taesd_stream.engine.autoencoder import AutoEncoder
from taesd_stream.engine.plain_modes import loading
from taesd_stream.engine.settings import resolve_settings

__all__ = ["moved"]


@loading()
def moved(model: AutoEncoder, device: torch.device, dtype: torch.dtype) -> AutoEncoder:
    """A copy of a model that computes there and so; one of another backend than PyTorch stays.

    Raises:
        InputError: The device is not there, or PyTorch's own kernels do not compute in the dtype.
    """
    if model.settings.backend != "torch":
        return model
    settings = resolve_settings(device, dtype, "torch")
    if settings == model.settings:
        return model
    coders = (None if each is None else each.moved(settings) for each in model.coders)
    return AutoEncoder(model.spec, settings, *coders)
