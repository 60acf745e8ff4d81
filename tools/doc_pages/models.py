"""The tables of models, from the table of variants."""

from __future__ import annotations

from doc_pages.markdown import code_list, table
from taesd_stream.models import VARIANTS, ModelSpec, Variant, empty_network, spec_of
from taesd_stream.models.timing import DecodeTiming

__all__ = ["also_known_as", "for_pictures", "for_videos", "frames_formula", "in_short"]


def in_short() -> str:
    """Which names there are for the latents of which diffusion models."""
    names: dict[str, list[str]] = {}
    for variant in VARIANTS:
        names.setdefault(variant.latents_of, []).append(variant.name)
    return table(
        ["latents of", "models"], ([what, code_list(each)] for what, each in names.items())
    )


def for_pictures() -> str:
    """The models that make one frame of each latent and remember nothing."""
    return table(
        ["name", "latents of", "channels:", "pixels per latent:", "halo in latents", "weights"],
        (
            [
                f"`{variant.name}`",
                variant.latents_of,
                variant.latent_channels,
                variant.spatial_scale,
                "none: group norms over the whole plane" if spec.halo is None else spec.halo,
                "inside the package" if variant.built_in else "downloaded",
            ]
            for variant, spec in _decoders()
            if not spec.latents_back
        ),
    )


def also_known_as() -> str:
    """The names that lead to each model besides its own."""
    return table(
        ["name", "also"],
        ([f"`{each.name}`", ", ".join(each.also)] for each in VARIANTS if each.also),
    )


def for_videos() -> str:
    """The models that remember, and how they count in time."""
    return table(
        [
            "name",
            "latents of",
            "channels:",
            "pixels per latent:",
            "frames of T latents",
            "latents back:",
            "first after:",
        ],
        (
            [
                f"`{variant.name}`",
                variant.latents_of,
                variant.latent_channels,
                variant.spatial_scale,
                frames_formula(variant.timing),
                spec.latents_back,
                spec.first_frame_after,
            ]
            for variant, spec in _decoders()
            if spec.latents_back
        ),
    )


def frames_formula(timing: DecodeTiming) -> str:
    """How many frames T latents become.

    >>> frames_formula(DecodeTiming(growth=4, lead=3))
    '4 T - 3'
    """
    if timing.chunk is not None:
        rest = timing.frames(timing.rest)
        each = timing.frames(timing.chunk + timing.rest) - rest
        return f"{each} k + {rest} for T = {timing.chunk} k + {timing.rest}"
    growth = f"{timing.growth} T" if timing.growth > 1 else "T"
    if not timing.lead:
        return growth
    if timing.only_if_odd:
        return f"{growth} - {timing.lead} if T is odd, else {growth}"
    return f"{growth} - {timing.lead}"


def _decoders() -> list[tuple[Variant, ModelSpec]]:
    return [(each, spec_of(each, None, empty_network(each.decoder))) for each in VARIANTS]
