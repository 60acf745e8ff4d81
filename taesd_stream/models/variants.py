"""The table of variants: every name that can be loaded, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from taesd_stream.errors import ModelNotFoundError
from taesd_stream.models import linear_maps
from taesd_stream.models.architectures import (
    latent2rgb_decoder,
    taesana_decoder,
    taesana_encoder,
    taesd_decoder,
    taesd_encoder,
)
from taesd_stream.models.network import Network

__all__ = ["VARIANTS", "Variant", "variant_named", "variants_for"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A model by its name.

    Attributes:
        name: As callers write it.
        latents_of: The diffusion models whose latents it decodes.
        latent_channels: C.
        spatial_scale: Pixels per latent along an axis.
        decoder: Builds the decoder; its weights are empty unless ``built_in``.
        encoder: The same for the encoder, or None.
        built_in: Whether it needs no checkpoint.
    """

    name: str
    latents_of: str
    latent_channels: int
    spatial_scale: int
    decoder: Callable[[], Network]
    encoder: Callable[[], Network] | None
    built_in: bool = False


def _taesd(name: str, latents_of: str, channels: int, *, pool: bool = False) -> Variant:
    return Variant(
        name=name,
        latents_of=latents_of,
        latent_channels=channels,
        spatial_scale=8,
        decoder=partial(taesd_decoder, channels, pool=pool),
        encoder=partial(taesd_encoder, channels, pool=pool),
    )


def _latent2rgb(name: str, latents_of: str, linear_map: linear_maps.LinearMap) -> Variant:
    return Variant(
        name=name,
        latents_of=latents_of,
        latent_channels=len(linear_map.factors),
        spatial_scale=8,
        decoder=partial(latent2rgb_decoder, linear_map),
        encoder=None,
        built_in=True,
    )


VARIANTS: tuple[Variant, ...] = (
    _taesd("taesd", "Stable Diffusion 1 and 2", 4),
    _taesd("taesdxl", "Stable Diffusion XL", 4),
    _taesd("taesd3", "Stable Diffusion 3", 16),
    _taesd("taef1", "FLUX.1", 16),
    _taesd("taef2", "FLUX.2", 32, pool=True),
    Variant(
        name="taesana",
        latents_of="Sana",
        latent_channels=32,
        spatial_scale=32,
        decoder=partial(taesana_decoder, 32),
        encoder=partial(taesana_encoder, 32),
    ),
    _latent2rgb("latent2rgb", "Stable Diffusion 1 and 2", linear_maps.SD1),
    _latent2rgb("latent2rgb_sd3", "Stable Diffusion 3", linear_maps.SD3),
    _latent2rgb("latent2rgb_flux1", "FLUX.1", linear_maps.FLUX1),
)


def variant_named(name: str) -> Variant:
    """The variant of a name, in whatever case.

    Raises:
        ModelNotFoundError: There is none.

    >>> variant_named("TAEF2").latent_channels
    32
    """
    for variant in VARIANTS:
        if variant.name == name.lower():
            return variant
    known = ", ".join(variant.name for variant in VARIANTS)
    raise ModelNotFoundError(f"model: expected one of {known}, or a path; found {name!r}")


def variants_for(channels: int, *, built_in: bool = False) -> tuple[Variant, ...]:
    """The variants whose latents have ``channels`` channels.

    >>> [variant.name for variant in variants_for(32)]
    ['taef2', 'taesana']
    """
    return tuple(
        variant
        for variant in VARIANTS
        if variant.latent_channels == channels and variant.built_in == built_in
    )
