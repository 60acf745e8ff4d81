"""What files and models are, in words and as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taesd_stream.latents import open_latents
from taesd_stream.models import (
    VARIANTS,
    Variant,
    build,
    cached,
    detect,
    read_checkpoint,
    variants_for,
)

__all__ = ["describe_checkpoint", "describe_latents", "model_rows"]


def describe_latents(path: Path) -> tuple[str, dict[str, Any]]:
    """What latents are in a file.

    Raises:
        LatentsError: None that can be told.
    """
    with open_latents(path) as source:
        fitting = [each.name for each in variants_for(source.channels)]
        words = f"{source.describe()}\nmodels for them: {', '.join(fitting) or 'none'}"
        return words, {
            "kind": "latents",
            "file": str(path),
            "shape": list(source.shape),
            "layout": source.layout,
            "dtype": str(source.dtype).removeprefix("torch."),
            "latents": source.frames,
            "channels": source.channels,
            "height": source.height,
            "width": source.width,
            "models": fitting,
        }


def describe_checkpoint(path: Path) -> tuple[str, dict[str, Any]]:
    """What model a checkpoint is.

    Raises:
        CheckpointError: None that is known.
    """
    checkpoint = read_checkpoint(path)
    variant = detect(checkpoint)
    encoder, decoder = build(variant, checkpoint)
    parts = {"encoder": encoder, "decoder": decoder}
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in parts.items()
        if network is not None
    }
    halo = decoder.halo if decoder is not None else None
    held = " and ".join(f"{name} of {count:,} parameters" for name, count in counts.items())
    words = (
        f"{checkpoint.origin}: {variant.name}, for the latents of {variant.latents_of}:"
        f" {variant.latent_channels} channels, {variant.spatial_scale} pixels per latent; {held}"
    )
    return words, {
        "kind": "checkpoint",
        "file": str(path),
        "model": variant.name,
        "latents_of": variant.latents_of,
        "latent_channels": variant.latent_channels,
        "spatial_scale": variant.spatial_scale,
        "halo": halo,
        "parameters": counts,
    }


def model_rows() -> list[dict[str, Any]]:
    """One row per model, for the table of `taesd-video models`."""
    return [
        {
            "model": each.name,
            "latents of": each.latents_of,
            "channels": each.latent_channels,
            "scale": each.spatial_scale,
            "weights": _where(each),
        }
        for each in VARIANTS
    ]


def _where(variant: Variant) -> str:
    if variant.built_in:
        return "built in"
    return "cached" if cached(variant.name) else "downloaded when first used"
