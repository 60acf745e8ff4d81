"""The figures between the two scales of a space, as a full VAE, or its files, hold them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from taesd_stream.errors import CheckpointError, InputError
from taesd_stream.models.latent_spaces import LatentSpace
from video.errors import first_line

__all__ = [
    "Figures",
    "FullVAE",
    "are_of",
    "figures_of_config",
    "figures_of_module",
    "space_of_vae",
]

FullVAE: TypeAlias = str | os.PathLike[str] | nn.Module
"""A full VAE: its folder or file, or the module itself, as pipelines of diffusers hold it."""

Figures: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Means and deviations."""

# Names of means and deviations in weights, before which anything may stand: the LTX authors' and
# diffusers' (autoencoder_kl_ltx2.py).
_STATISTICS: Final = (
    ("per_channel_statistics.mean-of-means", "per_channel_statistics.std-of-means"),
    ("latents_mean", "latents_std"),
)
# FLUX.2 keeps them as a batch norm; diffusers' pipeline_flux2.py adds batch_norm_eps.
_BATCH_NORM: Final = ("bn.running_mean", "bn.running_var")
_BATCH_NORM_EPS: Final = 1e-4
_CONFIG: Final = "config.json"
# Some configurations round figures.
_TOLERANCE: Final = 1e-3
_UNREADABLE: Final = (OSError, ValueError, TypeError, AttributeError, ArithmeticError)


def space_of_vae(vae: FullVAE, space: LatentSpace) -> LatentSpace:
    """A space with the figures of a full VAE of it.

    Args:
        vae: The VAE's folder as diffusers saves it, a pipeline's folder with a folder ``vae``, its
            ``config.json``, its weights as .safetensors, or a module with a config.
        space: The space of its latents.

    Raises:
        CheckpointError: There are no such figures, or they are another space's.
    """
    if isinstance(vae, nn.Module):
        name, found = type(vae).__name__, figures_of_module(vae)
    else:
        name, found = os.fspath(vae), _figures(Path(vae))
    if found is None:
        raise CheckpointError(
            f"{name}: expected a VAE's config.json or .safetensors that holds scaling_factor,"
            " latents_mean and latents_std, per_channel_statistics or a batch norm; found none"
        )
    mean, deviation = found
    if len(mean) != len(deviation) or len(mean) not in (1, space.channels, 4 * space.channels):
        raise CheckpointError(
            f"{name}: expected figures for the {space.channels} channels of {space.name}, found"
            f" {len(mean)} means and {len(deviation)} deviations; give the VAE of these latents"
        )
    return replace(space, mean=mean, deviation=deviation, source=name)


def figures_of_module(vae: object) -> Figures | None:
    """Means and deviations of a full VAE as diffusers has it; None where it holds none.

    Numbers that an offloading hook has taken off their device are none.
    """
    config = getattr(vae, "config", None)
    config = config if isinstance(config, Mapping) else {}
    named = vae.named_buffers() if isinstance(vae, nn.Module) else ()
    buffers = {name: each for name, each in named if not each.is_meta}
    eps, factor = config.get("batch_norm_eps", _BATCH_NORM_EPS), config.get("scaling_factor")
    held = _of_weights(list(buffers), buffers.__getitem__, eps=eps, factor=factor or 1.0)
    return _fullest(figures_of_config(config), held)


def are_of(figures: Figures, space: LatentSpace) -> bool:
    """Whether means and deviations are those of a space, but for rounding."""
    known = space.mean, space.deviation
    return all(
        len(ours) == len(theirs) > 0
        and all(
            math.isclose(our, their, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
            for our, their in zip(ours, theirs, strict=True)
        )
        for ours, theirs in zip(known, figures, strict=True)
    )


def _fullest(*found: Figures | None) -> Figures | None:
    """Figures for channels before those of a config that holds no more than the factor 1."""
    return max(filter(None, found), key=lambda each: len(each[0]), default=None)


def _figures(path: Path) -> Figures | None:
    """Means and deviations, where there are any."""
    if not path.exists():
        raise InputError(f"vae: expected a file or a folder, found none at {path}; check the path")
    if path.is_dir():
        folder = path / "vae" if (path / "vae").is_dir() else path
        files = [folder / _CONFIG, *sorted(folder.glob("*.safetensors"))]
        return _fullest(*(_figures(file) for file in files if file.exists()))
    with _as_checkpoint_errors(path):
        if path.suffix.lower() == ".json":
            return figures_of_config(json.loads(path.read_text(encoding="utf-8")))
        with safe_open(path, framework="pt") as file:
            return _of_weights(list(file.keys()), file.get_tensor)


def figures_of_config(config: Mapping[str, Any]) -> Figures | None:
    """Means and deviations that a configuration has, if any; it may hold anything."""
    factor, shift = config.get("scaling_factor"), config.get("shift_factor") or 0.0
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and deviation is not None:
        factor = factor or 1.0
        return tuple(map(float, mean)), tuple(float(each) / factor for each in deviation)
    return None if factor is None else ((float(shift),), (1 / float(factor),))


def _of_weights(
    names: Sequence[str],
    tensor_of: Callable[[str], Tensor],
    *,
    eps: float = _BATCH_NORM_EPS,
    factor: float = 1.0,
) -> Figures | None:
    def tensor(ending: str) -> Tensor | None:
        for name in names:
            if name == ending or name.endswith(f".{ending}"):
                return tensor_of(name).double().flatten()
        return None

    for mean_name, deviation_name in _STATISTICS:
        mean, deviation = tensor(mean_name), tensor(deviation_name)
        if mean is not None and deviation is not None:
            return tuple(mean.tolist()), tuple((deviation / factor).tolist())
    mean, variance = (tensor(name) for name in _BATCH_NORM)
    if mean is None or variance is None:
        return None
    return tuple(mean.tolist()), tuple(torch.sqrt(variance + eps).tolist())


@contextmanager
def _as_checkpoint_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (*_UNREADABLE, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: expected a VAE's config.json or .safetensors, found what cannot be read"
            f" ({first_line(error)}); copy or download it anew"
        ) from error
