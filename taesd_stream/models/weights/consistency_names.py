"""A ConsistencyDecoderVAE's weights, found under the names that diffusers gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from taesd_stream.models.weights.wrappers import Place, chosen, log_left_out, tables

__all__ = ["ENTRANCE", "consistency_entries"]

ENTRANCE: Final = "decoder_unet.conv_in.weight"
"""The first weight of its decoder."""

_ANCHOR: Final = re.compile(rf"(?P<root>(?:.+?\.)??){re.escape(ENTRANCE)}")
# What each of its parts is called here.
_HALVES: Final[Mapping[str, str]] = {
    "decoder_unet": "decoder.decoder_unet",
    "encoder": "encoder",
    "quant_conv": "encoder.quant_conv",
}


def consistency_entries(raw: Mapping[str, object], origin: str) -> dict[str, object] | None:
    """Its entries, each in a half: "decoder.decoder_unet.conv_in.weight"; None if it is not one.

    Args:
        raw: What a file holds: names to tensors, or mappings of these, with anything beside.
        origin: What to call the source in the log.

    Raises:
        CheckpointError: There are several.
    """
    known = list(tables(raw))
    places = [
        Place(entries, path, anchor["root"], has_roles=True)
        for path, entries in known
        for key, value in entries.items()
        if isinstance(key, str) and isinstance(value, Tensor) and (anchor := _ANCHOR.fullmatch(key))
    ]
    if not places:
        return None
    place = chosen(places, origin)
    found: dict[str, object] = {}
    left_out = {path.partition(".")[0] for path, each in known if each is not place.entries}
    for key, value in place.entries.items():
        first, _, rest = str(key).removeprefix(place.root).partition(".")
        if str(key).startswith(place.root) and first in _HALVES:
            found[f"{_HALVES[first]}.{rest}"] = value
        else:
            left_out.add(str(key).partition(".")[0])
    log_left_out(left_out - {"", *place.path.split(".")}, origin)
    return found
