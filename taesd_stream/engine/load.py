"""From a name, a path, or weights in memory to a model that works."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from taesd_stream.engine.autoencoder import AutoEncoder
from taesd_stream.engine.settings import Settings, resolve_settings
from taesd_stream.errors import InputError, ModelNotFoundError
from taesd_stream.models import (
    VARIANTS,
    Checkpoint,
    Network,
    Variant,
    build,
    detect,
    empty_network,
    fetch,
    fetch_from_hub,
    is_hub_name,
    official_names,
    read_checkpoint,
    spec_of,
    variant_named,
)

__all__ = ["load", "outline"]


def load(
    model: str | os.PathLike[str] | Mapping[str, Tensor],
    *,
    variant: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
) -> AutoEncoder:
    """A model, ready to decode and, if its encoder is there too, to encode.

    Args:
        model: What to load, looked for in this order: a state dict; a file or a folder that exists;
            the name of a variant (its weights are downloaded once, verified and cached);
            "owner/name" on the Hugging Face hub (needs the extra ``hub``).
        variant: The variant's name, where two share every shape.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps", or a torch device.
        dtype: "auto" (float32 on a CPU, float16 on a GPU), or a torch dtype or its name.
        backend: "auto" or "torch".
        time_upscale: Make all frames; False makes one per latent, for a cheap preview (TAEHV).
        space_upscale: Make them full size; False makes them as small as the latents, times the
            model's patch size, for a cheaper one yet.

    Raises:
        InputError: An argument makes no sense; CheckpointError and ModelNotFoundError are kinds.
        DownloadError: The weights could not be fetched whole.

    >>> load("latent2rgb", device="cpu")
    AutoEncoder(latent2rgb, cpu float32 torch)
    """
    settings = resolve_settings(device, dtype, backend)
    read, named = _read(model, variant)
    if read is None:
        found = variant_named(named or "")
        found = found.reduced(time_upscale=time_upscale, space_upscale=space_upscale)
        return _assemble(found, None, found.decoder(), settings)
    found = detect(read, named).reduced(time_upscale=time_upscale, space_upscale=space_upscale)
    return _assemble(found, *build(found, read), settings)


def _read(
    model: str | os.PathLike[str] | Mapping[str, Tensor], variant: str | None
) -> tuple[Checkpoint | None, str | None]:
    """A model's weights, None if it needs none, and its variant, None if that is to be detected."""
    if isinstance(model, Mapping):
        return read_checkpoint(model), variant
    if Path(model).exists():
        return read_checkpoint(Path(model)), variant
    name = os.fspath(model)
    if name.lower() in official_names() or any(each.name == name.lower() for each in VARIANTS):
        found = variant_named(name)
        if variant is not None and variant_named(variant) != found:
            raise InputError(
                f"variant: expected none, or {found.name}, beside the model of that name; found"
                f" {variant!r}"
            )
        if found.built_in:
            return None, found.name
        return read_checkpoint(fetch(found.name)[-1]), found.name
    if is_hub_name(name) and not Path(name).suffix:
        checkpoint = read_checkpoint(fetch_from_hub(name))
        # The snapshot's folder is named after a commit; the repository's name says more.
        return replace(checkpoint, stem_hint=name.rpartition("/")[2]), variant
    known = ", ".join(each.name for each in VARIANTS)
    raise ModelNotFoundError(
        f"model: expected a file or folder of weights, owner/name on the hub, or one of {known};"
        f" found {name!r}, which is none of these"
    )


def outline(
    model: str | os.PathLike[str],
    *,
    variant: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
) -> AutoEncoder:
    """A model that can plan but not compute: a variant given by name has no weights yet.

    Raises:
        InputError: As ``load``.
    """
    name = os.fspath(model).lower()
    if Path(model).exists() or all(each.name != name for each in VARIANTS):
        return load(
            model, variant=variant, device=device, dtype=dtype, backend=backend,
            time_upscale=time_upscale, space_upscale=space_upscale,
        )  # fmt: skip
    found = variant_named(name)
    found = found.reduced(time_upscale=time_upscale, space_upscale=space_upscale)
    settings = resolve_settings(device, dtype, backend)
    encoder = empty_network(found.encoder) if found.encoder else None
    decoder = empty_network(found.decoder)
    return AutoEncoder(spec_of(found, encoder, decoder), settings, encoder, decoder)


def _assemble(
    variant: Variant, encoder: Network | None, decoder: Network | None, settings: Settings
) -> AutoEncoder:
    for network in (encoder, decoder):
        if network is not None:
            network.requires_grad_(False).to(settings.device, settings.dtype)
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return AutoEncoder(spec_of(variant, encoder, decoder), settings, encoder, decoder)
