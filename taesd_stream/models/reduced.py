"""Variants whose decoders make fewer frames, or smaller ones, at less cost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from taesd_stream.errors import InputError
from taesd_stream.models.timing import DecodeTiming
from taesd_stream.models.variant import Variant
from taesd_stream.models.variants import VARIANTS

__all__ = ["reduced"]


def reduced(variant: Variant, *, time_upscale: bool, space_upscale: bool) -> Variant:
    """The variant with a decoder that makes fewer frames, or smaller ones, at less cost.

    Raises:
        InputError: Its decoder is not made to do without.
    """
    found = variant
    for kind, wanted in (("time", time_upscale), ("space", space_upscale)):
        if wanted:
            continue
        if kind not in variant.leaves_out:
            can = ", ".join(each.name for each in VARIANTS if kind in each.leaves_out)
            raise InputError(
                f"{kind} upscale: {variant.name} cannot do without; leave the option out, or give"
                f" a model that can: {can}"
            )
        if kind == "time":
            decoder = partial(found.decoder, growth=(1, 1, 1))
            found = replace(found, decoder=decoder, timing=DecodeTiming())
        else:
            decoder = partial(found.decoder, enlarging=(1, 1, 1))
            scale = decoder().scale[0]
            found = replace(found, decoder=decoder, spatial_scale=scale)
    return found
