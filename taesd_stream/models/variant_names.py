"""Variants by their names, and by those of the models whose latents they are for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from taesd_stream.errors import ModelNotFoundError
from taesd_stream.models.also_known_as import plain_name
from taesd_stream.models.variant import Variant
from taesd_stream.models.variants import VARIANTS

__all__ = ["find_variant", "unknown_model", "variant_named"]

_SHORTEST_BEGINNING: Final = 4

_BY_PLAIN_NAME: Final[Mapping[str, Variant]] = {
    plain_name(name): variant for variant in VARIANTS for name in (variant.name, *variant.also)
}


def find_variant(name: str) -> Variant | None:
    """The variant that a name leads to, however it is written; None if there is none.

    >>> (find_variant("z image") or VARIANTS[0]).name
    'taef1'
    """
    return _BY_PLAIN_NAME.get(plain_name(name))


def variant_named(name: str) -> Variant:
    """The variant of a name: its own, or of the models whose latents it is for.

    Raises:
        ModelNotFoundError: There is none.

    >>> variant_named("TAEF2").latent_channels, variant_named("Qwen-Image").name
    (32, 'taew2_1')
    """
    found = find_variant(name)
    if found is None:
        raise unknown_model(name, "the name of a known model")
    return found


def unknown_model(name: str, expected: str) -> ModelNotFoundError:
    """The error about a name that leads to no model, with those that it may be meant for."""
    plain = plain_name(name)
    close = difflib.get_close_matches(plain, _BY_PLAIN_NAME, n=3, cutoff=0.7)
    longer = [
        known
        for known in _BY_PLAIN_NAME
        if known.startswith(plain) and len(plain) >= _SHORTEST_BEGINNING
    ]
    meant = ", ".join(dict.fromkeys(_led_to(each) for each in (*longer[:3], *close)))
    lines = (", ".join((each.name, *each.also)) for each in VARIANTS)
    return ModelNotFoundError(
        f"model: expected {expected}, found {name[:80]!r}, which is none; "
        + (f"did you mean {meant}? " if meant else "")
        + "`taesd-video models` lists the names"
    ).with_details(*lines)


def _led_to(plain: str) -> str:
    """A known name as it is written, and the model it leads to."""
    variant = _BY_PLAIN_NAME[plain]
    if plain == plain_name(variant.name):
        return variant.name
    return next(f"{each} ({variant.name})" for each in variant.also if plain_name(each) == plain)
