"""Variants out of the names of files, for folders that hold several models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from taesd_stream.models.variant_names import variant_named
from taesd_stream.models.variants import VARIANTS

__all__ = ["stems_of_variant", "without_role"]

_ROLES: Final = ("encoder", "decoder")


def stems_of_variant(stems: Iterable[str], variant: str) -> list[str]:
    """Those of the files' stems that name a variant: that alone if any do, else beside more words.

    Raises:
        ModelNotFoundError: There is no such variant.

    >>> stems_of_variant(["taesd_decoder", "taesd_encoder", "taesdxl_decoder"], "TAESD")
    ['taesd_decoder', 'taesd_encoder']
    >>> stems_of_variant(["lighttaew2_1", "my-taew2.1"], "taew2_1")
    ['my-taew2.1']
    """
    name = variant_named(variant).name
    named = [stem for stem in stems if _named_in(stem) == name]
    alone = [stem for stem in named if without_role(_plain(stem)).strip("_*") == _plain(name)]
    return alone or named


def without_role(stem: str) -> str:
    """A stem with a star in the place of "encoder" or "decoder"."""
    for role in _ROLES:
        before, found, after = stem.rpartition(role)
        if found:
            return f"{before}*{after}"
    return stem


def _named_in(stem: str) -> str | None:
    """The longest name of a variant among a stem's words; None if there is none."""
    words = (each.name for each in VARIANTS if _has_words(_plain(stem), _plain(each.name)))
    return max(words, key=len, default=None)


def _has_words(text: str, words: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(words)}(?![a-z0-9])", text) is not None


def _plain(stem: str) -> str:
    return re.sub(r"[-. ]", "_", stem.lower())
