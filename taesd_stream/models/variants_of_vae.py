"""The variants for the latents of a full VAE that is at hand."""

from __future__ import annotations

from collections.abc import Mapping

from taesd_stream.models.vae_figures import are_of, figures_of_module
from taesd_stream.models.variant import Variant
from taesd_stream.models.variants import VARIANTS

__all__ = ["channels_of_vae", "choices", "variants_of_vae"]


def channels_of_vae(vae: object) -> int | None:
    """The channels of the latents of a VAE of diffusers; None where its config does not say."""
    config = getattr(vae, "config", None)
    config = config if isinstance(config, Mapping) else {}
    found = config.get("latent_channels", config.get("z_dim"))
    return found if isinstance(found, int) else None


def variants_of_vae(vae: object) -> list[Variant]:
    """The suggested variants for the latents of a full VAE, which its own figures tell.

    The scaling factor, or means and deviations, of a VAE are those of the one space that it makes,
    whatever pipeline it is in. None fit where they are no known space's, and for tiny VAEs, which
    have the factor 1.
    """
    figures, channels = figures_of_module(vae), channels_of_vae(vae)
    if figures is None or channels is None:
        return []
    return [
        each
        for each in VARIANTS
        if each.is_suggested and each.latent_channels == channels and are_of(figures, each.space)
    ]


def choices(channels: int) -> str:
    """The suggested variants for latents of so many channels, in words.

    >>> choices(12)
    'taem1 (Mochi 1)'
    """
    fitting = [each for each in VARIANTS if each.latent_channels == channels and each.is_suggested]
    return ", ".join(f"{each.name} ({each.latents_of})" for each in fitting) or "none"
