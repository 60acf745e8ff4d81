"""Descriptions of files and models, in words and as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from taesd_stream.errors import CheckpointError, InputError, LatentsError, LayoutError
from taesd_stream.latents import open_latents
from taesd_stream.latents.packing import PACKED
from taesd_stream.models import (
    VARIANTS,
    ModelSpec,
    Variant,
    build,
    cached,
    detect,
    empty_network,
    fitting_variants,
    read_checkpoint,
    spec_of,
    variants_for,
)
from taesd_stream.remote.addresses import is_address
from video.errors import first_line

__all__ = ["describe_checkpoint", "describe_file", "describe_latents", "model_rows"]


def describe_file(path: str | Path) -> tuple[str, dict[str, Any]]:
    """Describe a file of latents or a checkpoint, in words and as plain values.

    Raises:
        InputError: Neither that can be told.
    """
    try:
        return describe_latents(path)
    except LatentsError as not_latents:
        if is_address(path) or not Path(path).exists():
            raise
        try:
            return describe_checkpoint(path)
        except CheckpointError as not_checkpoint:
            latents, weights = (
                InputError(str(error).removeprefix(str(path)).lstrip(": "))
                for error in (not_latents, not_checkpoint)
            )
            raise InputError(
                f"{path}: expected latents or a checkpoint, found neither; as latents:"
                f" {first_line(latents, most_letters=80)}; as a checkpoint:"
                f" {first_line(weights, most_letters=80)}"
            ).with_details(
                f"as latents: {latents}", f"as a checkpoint: {weights}", *not_checkpoint.details
            ) from None


def describe_latents(path: str | Path) -> tuple[str, dict[str, Any]]:
    """Describe the latents in a file: every reading, where neither axes nor numbers tell which.

    Raises:
        LatentsError: None that can be told.
    """
    try:
        return _describe_reading(path, None)
    except LayoutError as error:
        if not error.readings:
            return str(error), {"kind": "latents", "file": str(path), "layout": PACKED}
        readings = [_describe_reading(path, layout) for layout in error.readings]
    names = [values["layout"].replace(" ", "") for _, values in readings]
    told = [f"{name}: {words}" for name, (words, _) in zip(names, readings, strict=True)]
    words = "\n".join(
        [f"{path}: the axes fit {len(names)} layouts", *told, f"say --layout {' or '.join(names)}"]
    )
    return words, {
        "kind": "latents",
        "file": str(path),
        "shape": readings[0][1]["shape"],
        "layout": None,
        "readings": [values for _, values in readings],
    }


def _describe_reading(path: str | Path, layout: str | None) -> tuple[str, dict[str, Any]]:
    with open_latents(path, layout=layout) as source:
        suggested, inside = (
            variants_for(source.channels, built_in=built_in) for built_in in (False, True)
        )
        fitting = [each.name for each in (*suggested, *inside)]
        said = source.metadata.as_strings()
        facts = "".join(
            f"\n{name.replace('_', ' ')}: {said[name]}"
            for name in ("frames_per_second", "pixels")
            if name in said
        )
        words = f"{source.describe()}{facts}\nmodels for them: {', '.join(fitting) or 'none'}"
        return words, {
            "kind": "latents",
            "file": str(path),
            "shape": list(source.shape),
            "layout": layout or source.layout,
            "dtype": str(source.dtype).removeprefix("torch."),
            "convention": source.convention,
            "frames_per_second": said.get("frames_per_second"),
            "pixels": said.get("pixels"),
            "latents": source.frames,
            "channels": source.channels,
            "height": source.height,
            "width": source.width,
            "models": fitting,
        }


def describe_checkpoint(path: str | Path) -> tuple[str, dict[str, Any]]:
    """Describe the model that a checkpoint holds.

    Raises:
        CheckpointError: None that is known.
    """
    checkpoint = read_checkpoint(path)
    fitting = fitting_variants(checkpoint)
    variant = fitting[0]
    same_frames = len({each.timing for each in fitting}) == 1
    if same_frames:
        variant = detect(checkpoint)
    name = variant.name if same_frames else " or ".join(each.name for each in fitting)
    encoder, decoder = build(variant, checkpoint)
    parts = {"encoder": encoder, "decoder": decoder}
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in parts.items()
        if network is not None
    }
    spec = spec_of(variant, encoder, decoder)
    held = " and ".join(f"{name} of {count:,} parameters" for name, count in counts.items())
    latents_of = variant.latents_of if same_frames else "one of these (say which with --variant)"
    words = (
        f"{checkpoint.origin}: {name}, for the latents of {latents_of}:"
        f" {variant.latent_channels} channels, {variant.spatial_scale} pixels"
        f"{_and_frames(variant)} per latent{_in_time(spec)}; {held}"
    )
    return words, {
        "kind": "checkpoint",
        "file": str(path),
        "model": variant.name if same_frames else None,
        "fits": [each.name for each in fitting],
        "latents_of": variant.latents_of if same_frames else None,
        "latent_channels": variant.latent_channels,
        "spatial_scale": variant.spatial_scale,
        "temporal_scale": variant.timing.growth,
        "latents_back": spec.latents_back if spec.can_decode else None,
        "first_frame_after": spec.first_frame_after,
        "halo": spec.halo,
        "parameters": counts,
    }


def _and_frames(variant: Variant) -> str:
    frames = variant.timing.growth
    return f" and {frames} frames" if frames > 1 else ""


def _in_time(spec: ModelSpec) -> str:
    if spec.latents_back == 0:
        return ""
    first = f"{spec.first_frame_after} latent{'s' * (spec.first_frame_after > 1)}"
    return f"; a frame looks {spec.latents_back} latents back, the first one needs {first}"


def model_rows() -> list[dict[str, Any]]:
    """One row per model, for the table of `taesd-video models`, whose help explains them."""
    return [_row(each, spec_of(each, None, empty_network(each.decoder))) for each in VARIANTS]


def _row(variant: Variant, spec: ModelSpec) -> dict[str, Any]:
    return {
        "model": variant.name,
        "latents of": variant.latents_of,
        "channels": variant.latent_channels,
        "scale": variant.spatial_scale,
        "frames": variant.timing.growth,
        "back": spec.latents_back,
        "first": spec.first_frame_after,
        "weights": _where(variant),
        "also": list(variant.also),
    }


def _where(variant: Variant) -> str:
    if variant.built_in:
        return "built in"
    if variant.hub is not None:
        return "hub"
    return "cached" if cached(variant.name) else "online"
