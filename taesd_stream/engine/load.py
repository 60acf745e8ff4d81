"""From a name, a path, or weights in memory to a model that works."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from taesd_stream.engine.autoencoder import AutoEncoder
from taesd_stream.engine.backends import Backend
from taesd_stream.engine.backends.compiling import compiling_backend, is_compilable
from taesd_stream.engine.calibration_latents import calibration_latents
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.plain_modes import loading
from taesd_stream.engine.plain_module import PlainModule
from taesd_stream.engine.settings import Settings, dtype_named, resolve_settings
from taesd_stream.errors import InputError
from taesd_stream.latents.opening import Latents
from taesd_stream.models import (
    Checkpoint,
    Network,
    Variant,
    build,
    detect,
    empty_network,
    fetch,
    fetch_from_hub,
    find_variant,
    is_hub_name,
    packaged_weights,
    read_checkpoint,
    spec_of,
    unknown_model,
    variant_named,
)
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.shortcuts import EXACT, Shortcuts
from taesd_stream.models.vae_figures import FullVAE

__all__ = ["Weights", "load", "load_weights", "load_with", "outline", "read_weights"]

_log = logging.getLogger("taesd_stream")

_DEFAULTS = ModelOptions()

Halves: TypeAlias = tuple[Network | None, Network | None]
"""Encoder and decoder."""


Weights: TypeAlias = str | os.PathLike[str] | Mapping[str, Tensor] | nn.Module
"""A variant's name, a file or folder, a name on the hub, a state dict, or a module with one."""


def load(
    model: Weights,
    *,
    variant: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    time_upscale: bool = True,
    space_upscale: bool = True,
    calibration: Latents | None = None,
    convention: Convention | None = None,
    vae: FullVAE | None = None,
    fast_norms: bool = False,
    fast_attention: int | None = None,
) -> AutoEncoder:
    """A model, ready to decode and, if its encoder is there too, to encode.

    Args:
        model: What to load, looked for in this order: a state dict, or a module that has
            one, such as diffusers' AutoencoderTiny or AutoencoderKL; a file or a folder that
            exists;
            the name of a variant (its weights are downloaded once, verified and cached);
            "owner/name" on the Hugging Face hub (needs the extra ``hub``).
        variant: The variant's name, where two share every shape.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps", or a torch device.
        dtype: "auto" (float32 on a CPU, float16 on a GPU), or a torch dtype or its name.
        backend: "torch", "openvino" (needs the extra ``openvino``), "onnxruntime" (needs the extra
            ``onnx``; or "onnxruntime:cuda" and so on, for another of its providers), or "auto":
            openvino where it is installed and can compute this.
        time_upscale: Make all frames; False makes one per latent, for a cheap preview (TAEHV).
        space_upscale: Make them full size; False makes them as small as the latents, times the
            model's patch size, for a cheaper one yet.
        calibration: For int8, what ``open_latents`` takes: some latents to find the ranges of
            activations with, the more like those to be decoded the better; of a video a few in a
            row. None is the sample inside the package, which is Stable Diffusion 1's.
        convention: The scale of the latents that this model will be given and asked for, where
            neither a call nor a file says: "model", as the diffusion model sees them, or "vae", as
            the full VAE's decode takes them. None is "model".
        vae: For "vae", where its figures are not in the table of models or are to be others: the
            full VAE as a folder or a module of diffusers, its config.json, or its weights as
            .safetensors.
        fast_norms: For full VAEs: estimate the moments that norms go by from the picture at reduced
            size. All of it is then made in one pass, or three with attention, and is not exact.
        fast_attention: For full VAEs: let pixels of the attention layer see windows of so many
            latents a side, and half of one around, and not the whole plane. Not exact either.

    Raises:
        InputError: An argument makes no sense; CheckpointError and ModelNotFoundError are kinds.
        DownloadError: The weights could not be fetched whole.

    >>> load("latent2rgb", device="cpu")
    AutoEncoder(latent2rgb, cpu float32 torch)
    """
    options = ModelOptions(
        variant,
        device,
        dtype,
        backend,
        time_upscale,
        space_upscale,
        calibration,
        convention,
        vae,
        Shortcuts(fast_norms, fast_attention),
    )
    return load_with(model, options)


@loading()
def load_with(model: Weights, options: ModelOptions) -> AutoEncoder:
    """``load``, for callers who carry the options.

    Raises:
        InputError: As ``load``.
        DownloadError: As ``load``.
    """
    # What cannot be is refused before anything is read.
    resolve_settings(options.device, options.dtype, options.backend)
    return load_weights(*read_weights(model, options.variant), options)


@loading()
def load_weights(read: Checkpoint | None, named: str | None, options: ModelOptions) -> AutoEncoder:
    """The model of weights that ``read_weights`` has read.

    Args:
        read: The weights; None where a model needs none.
        named: The name of the variant, where that is known.

    Raises:
        InputError: As ``load``.
    """
    if read is None:
        found = options.adapted(variant_named(named or ""))
        halves: Halves = None, found.decoder()
    else:
        found = options.adapted(detect(read, named))
        halves = build(found, read)
    settings = _settings_for(found, halves, options)
    for network in halves:
        if network is not None:
            own = _own_settings(network, settings)
            network.requires_grad_(False).place(own.device, own.tensor_dtype)
            network.fold()
    if settings.backend == "torch":
        return _assemble(found, halves, settings, options)
    latents: Sequence[Tensor] = ()
    if settings.dtype == torch.int8:
        in_a_row = halves[1] is not None and bool(halves[1].stateful)
        latents = calibration_latents(found, options, in_a_row=in_a_row)
    backends = [
        compiling_backend(settings, half, latents if is_decoder else ())
        if half is not None and is_compilable(half)
        else None
        for half, is_decoder in zip(halves, (False, True), strict=True)
    ]
    return _assemble(found, halves, settings, options, backends)


def read_weights(model: Weights, variant: str | None) -> tuple[Checkpoint | None, str | None]:
    """A model's weights, None if it needs none, and its variant, None if that is to be detected.

    Raises:
        InputError: As ``load``.
        DownloadError: As ``load``.
    """
    if isinstance(model, PlainModule):
        if find_variant(model.variant) is not None:
            variant = variant or model.variant
        return read_checkpoint(model.checkpoint(), config=model.config), variant
    if isinstance(model, nn.Module):
        config = getattr(model, "config", None)
        config = config if isinstance(config, Mapping) else None
        return read_checkpoint(model.state_dict(), config=config), variant
    if isinstance(model, Mapping):
        return read_checkpoint(model), variant
    if not isinstance(model, str | os.PathLike):
        raise InputError(
            "model: expected a name, a path, a state dict or a module, found"
            f" {type(model).__name__}"
        )
    if Path(model).exists():
        return read_checkpoint(Path(model), variant), variant
    name = os.fspath(model)
    found = find_variant(name)
    if found is not None:
        if name.lower() != found.name:
            _log.info("%s: %s decodes its latents", name, found.name)
        if variant is not None and variant_named(variant) != found:
            raise InputError(
                f"variant: expected none, or {found.name}, beside the model of that name; found"
                f" {variant!r}"
            )
        if found.weights == "none":
            return None, found.name
        if found.weights == "packaged":
            return read_checkpoint(packaged_weights(found.name)), found.name
        if found.hub is not None:
            return _from_hub(found.hub, found.name), found.name
        return read_checkpoint(fetch(found.name)[-1]), found.name
    if is_hub_name(name) and not Path(name).suffix:
        checkpoint = _from_hub(name, variant)
        # The snapshot's folder is named after a commit; the repository's name says more.
        return replace(checkpoint, stem_hint=name.rpartition("/")[2]), variant
    raise unknown_model(name, "a file or folder of weights, a known name, or owner/name on the hub")


def _from_hub(name: str, variant: str | None) -> Checkpoint:
    return read_checkpoint(fetch_from_hub(name, variant=variant), variant)


def outline(model: str | os.PathLike[str], options: ModelOptions = _DEFAULTS) -> AutoEncoder:
    """A model that can plan but not compute: a variant given by name has no weights yet.

    Raises:
        InputError: As ``load``.
    """
    named = find_variant(os.fspath(model))
    if Path(model).exists() or named is None:
        return load_with(model, options)
    found = options.adapted(named)
    encoder = empty_network(found.encoder) if found.encoder else None
    halves = encoder, empty_network(found.decoder)
    return _assemble(found, halves, _settings_for(found, halves, options), options)


def _settings_for(variant: Variant, halves: Halves, options: ModelOptions) -> Settings:
    there = [half for half in halves if half is not None]
    # Linear maps are done before anything would be compiled.
    compilable = variant.weights != "none" and any(map(is_compilable, there))
    if not all(half.goes_straight for half in there):
        # Each of their many passes is one convolution, which is brought to OpenVINO and back.
        is_wanted = options.backend != "auto" and dtype_named(options.dtype) != torch.int8
        compilable = compilable and is_wanted
    return resolve_settings(options.device, options.dtype, options.backend, compilable=compilable)


def _own_settings(half: Network, settings: Settings) -> Settings:
    """The settings of one half: PyTorch computes the one that another backend cannot."""
    if settings.backend != "torch" and not is_compilable(half):
        return settings.on_torch()
    return settings


def _assemble(
    variant: Variant,
    halves: Halves,
    settings: Settings,
    options: ModelOptions,
    backends: Sequence[Backend | None] = (None, None),
) -> AutoEncoder:
    spec = spec_of(variant, *halves)
    coders: list[Coder | None] = []
    for network, backend in zip(halves, backends, strict=True):
        if network is None:
            coders.append(None)
            continue
        own = _own_settings(network, settings)
        sparing = _sparing(own, options.backend)
        coder = Coder(spec, network, own, backend, sparing, convention=options.convention)
        exact = options.shortcuts == EXACT
        coders.append(coder if exact else coder.shortened(options.shortcuts))
    return AutoEncoder(spec, settings, *coders)


def _sparing(settings: Settings, backend: str) -> Settings | None:
    """Settings that need less memory, for where the backend was not asked for by name.

    OpenVINO keeps much whatever the tile; PyTorch does with a third, in no less precision.
    """
    if backend != "auto" or settings.backend != "openvino" or settings.dtype == torch.int8:
        return None
    return Settings(settings.device, settings.tensor_dtype, "torch")
