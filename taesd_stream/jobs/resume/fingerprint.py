"""The fingerprint of a run: all that the bytes of its output depend on, in words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.resume.finished import taken_before
from taesd_stream.latents import LatentSource
from tiling import TilePlan

__all__ = ["fingerprint_of", "with_recorded_tile"]


def with_recorded_tile(options: TileOptions, output: Output) -> TileOptions:
    """The options, with the tile that an unfinished run took: in 16 bits, others round otherwise.

    A tile that is asked for stays, and so do patches that are blended, which are cut by another
    rule.
    """
    if options.tile != "auto" or options.overlap != "exact":
        return options
    sides = re.fullmatch(r"(\d+)x(\d+)", taken_before(output, "tile") or "")
    return replace(options, tile=(int(sides[2]), int(sides[1]))) if sides else options


def fingerprint_of(
    latents: LatentSource,
    numbers: Iterable[int],
    ae: AutoEncoder,
    plan: TilePlan,
    **others: object,
) -> dict[str, str]:
    """Name and value of all that the bytes of an output depend on.

    Args:
        numbers: Which latents it is made of.
        others: Further values that only this kind of output depends on.
    """
    crop = plan.view.crop
    decoder = coder_of(ae, "decode")
    return {
        "version": version("taesd-stream"),
        "model": ae.spec.label,
        "weights": decoder.digest(),
        "calibration": decoder.rounding,
        "latents": f"{latents.channels}x{plan.latents}",
        "numbers in the latents": _digest(latents, numbers),
        "convention": decoder.scale(None, latents).convention,
        "size": str(plan.pixels),
        "crop": "none" if crop is None else ",".join(map(str, crop.xywh)),
        "wrap": plan.view.axes or "none",
        "where": plan.where,
        "tile": str(plan.tile),
        "overlap": str(plan.overlap),
        "chunk": "none" if plan.chunk is None else str(plan.chunk),
        "seed": str(plan.seed),
        "shortcuts": plan.shortcuts or "none",
        **{
            name.replace("_", " "): "default" if value is None else str(value)
            for name, value in others.items()
        },
    }


def _digest(latents: LatentSource, numbers: Iterable[int]) -> str:
    """A digest of latents' numbers, read a few rows at a time."""
    digest = hashlib.blake2b(digest_size=16)
    columns = slice(0, latents.width)
    step = max(1, (1 << 20) // latents.width)
    for number in numbers:
        for start in range(0, latents.height, step):
            rows = slice(start, min(latents.height, start + step))
            part = latents.region(number, rows, columns)
            digest.update(part.view(torch.uint8).numpy().data)
    return digest.hexdigest()
