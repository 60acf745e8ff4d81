"""Which of the full VAEs an AutoencoderKL's checkpoint is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.also_known_as import plain_name
from taesd_stream.models.fine_variants import FINE_VARIANTS, fine_variant
from taesd_stream.models.latent_spaces import LatentSpace
from taesd_stream.models.vae_figures import Figures, are_of, figures_of_config
from taesd_stream.models.variant import Variant
from taesd_stream.models.weights.checkpoint import Checkpoint
from taesd_stream.models.weights.kl_names import are_kl_names
from taesd_stream.models.weights.kl_sizes import kl_sizes
from taesd_stream.models.weights.weight_files import naming
from taesd_stream.models.weights.wrappers import Role

__all__ = ["hinted_variant", "is_kl", "kl_variants"]

_UNNAMED: Final = "kl-vae"
# What diffusers takes where a config.json does not say.
_USUAL_FACTOR: Final = 0.18215
# Stems by which people name files of those that share all shapes.
_HINTS: Final = (
    (re.compile("xl"), "sdxl-vae"),
    (re.compile("flux|^ae$"), "flux-vae"),
    (re.compile("sd3|stablediffusion3"), "sd3-vae"),
    (re.compile("sdvae|vaeft|klf8|sd1|sd2|v1|stablediffusionv?[12]"), "sd-vae"),
)


def is_kl(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's names are those of an AutoencoderKL."""
    return any(are_kl_names(half) for half in _halves(checkpoint).values())


def kl_variants(checkpoint: Checkpoint, *, by_figures: bool = True) -> list[Variant]:
    """The full VAEs that an AutoencoderKL's checkpoint may be, of its own sizes; never none.

    They share their shapes: what tells them apart is the scale of latents in a config.json. One
    whose latents are none of the known spaces' is called "kl-vae".

    Args:
        by_figures: Only those that have this scale, if there is any.

    Raises:
        CheckpointError: Some layer is not as an AutoencoderKL has it.
    """
    with naming(checkpoint.origin):
        sizes = kl_sizes(_halves(checkpoint), checkpoint.config)
        figures = _figures(checkpoint)
    mean, deviation = figures or ((), ())
    space = LatentSpace("this VAE", sizes.latent_channels, mean, deviation, "in its config.json")
    own = fine_variant(_UNNAMED, "other diffusion models", space, sizes)
    known = [
        replace(each, decoder=own.decoder, encoder=own.encoder)
        for each in FINE_VARIANTS
        if each.latent_channels == own.latent_channels
        and each.spatial_scale == own.spatial_scale
        and each.in_chunks == own.in_chunks
    ]
    if figures is not None and by_figures:
        known = [each for each in known if are_of(figures, each.space)]
    return known or [own]


def hinted_variant(checkpoint: Checkpoint, fitting: list[Variant]) -> tuple[Variant, str] | None:
    """The one of several full VAEs that something hints at, and what that is."""
    names = {each.name: each for each in fitting}
    if checkpoint.pipeline in names:
        return names[checkpoint.pipeline], "because of what lies beside it"
    stem = plain_name(checkpoint.stem_hint or "")
    for pattern, name in _HINTS:
        if name in names and pattern.search(stem):
            return names[name], f"because of its name {checkpoint.stem_hint!r}"
    return None


def _halves(checkpoint: Checkpoint) -> dict[Role, dict[str, Tensor]]:
    halves: dict[Role, dict[str, Tensor] | None] = {
        "decoder": checkpoint.decoder,
        "encoder": checkpoint.encoder,
    }
    return {role: half for role, half in halves.items() if half is not None}


def _figures(checkpoint: Checkpoint) -> Figures | None:
    """The figures of its config.json, None without one."""
    if not checkpoint.config:
        return None
    try:
        usual = {"scaling_factor": _USUAL_FACTOR} if "_class_name" in checkpoint.config else {}
        return figures_of_config(usual | dict(checkpoint.config))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise CheckpointError(
            "expected numbers for scaling_factor and shift_factor in its configuration, found"
            f" {checkpoint.config.get('scaling_factor')!r:.40} and"
            f" {checkpoint.config.get('shift_factor')!r:.40}; fetch it again"
        ) from error
