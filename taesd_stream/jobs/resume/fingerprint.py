"""The fingerprint of a run: all that the bytes of its output depend on, in words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.jobs.resume.finished import OutputFile, taken_before
from taesd_stream.latents import LatentSource
from tiling import TilePlan

__all__ = ["fingerprint_of", "fingerprint_of_encode", "stamp_of_files", "with_recorded_tile"]


def with_recorded_tile(options: TileOptions, output: OutputFile) -> TileOptions:
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
        **_of_model(ae, decoder),
        "latents": f"{latents.channels}x{plan.latents}",
        "numbers in the latents": _digest(latents, numbers),
        "convention": decoder.scale(None, latents).convention,
        "crop": "none" if crop is None else ",".join(map(str, crop.xywh)),
        "chunk": "none" if plan.chunk is None else str(plan.chunk),
        **_of_plan(plan),
        **_in_words(others),
    }


def fingerprint_of_encode(
    images: Iterable[Path], ae: AutoEncoder, plan: TilePlan, **others: object
) -> dict[str, str]:
    """Name and value of all that the bytes of encoded latents depend on.

    Args:
        images: The files that they are made of, which are known by their names, sizes and times.
        others: Further values.
    """
    return {
        **_of_model(ae, coder_of(ae, "encode")),
        "images": stamp_of_files(images),
        **_of_plan(plan),
        **_in_words(others),
    }


def _of_model(ae: AutoEncoder, coder: Coder) -> dict[str, str]:
    return {
        "version": version("taesd-stream"),
        "model": ae.spec.label,
        "weights": coder.digest(),
        "calibration": coder.rounding,
    }


def _of_plan(plan: TilePlan) -> dict[str, str]:
    return {
        "size": str(plan.pixels),
        "wrap": plan.view.axes or "none",
        "where": plan.where,
        "tile": str(plan.tile),
        "overlap": str(plan.overlap),
        "seed": str(plan.seed),
        "shortcuts": plan.shortcuts or "none",
    }


def _in_words(values: Mapping[str, object]) -> dict[str, str]:
    return {
        name.replace("_", " "): "default" if value is None else str(value)
        for name, value in values.items()
    }


def stamp_of_files(files: Iterable[Path]) -> str:
    """A digest of what is known of files without reading them; of those that are there."""
    digest = hashlib.blake2b(digest_size=16)
    for file in filter(Path.exists, files):
        found = file.stat()
        digest.update(f"{file.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


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
