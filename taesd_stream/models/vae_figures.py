"""The figures between the two scales of a space, as a full VAE's own files hold them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from taesd_stream.errors import CheckpointError, InputError
from taesd_stream.models.latent_spaces import LatentSpace
from video.errors import first_line

__all__ = ["space_of_vae"]

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
_UNREADABLE: Final = (OSError, ValueError, TypeError, AttributeError, ArithmeticError)


def space_of_vae(path: str | os.PathLike[str], space: LatentSpace) -> LatentSpace:
    """A space with the figures of a full VAE of it.

    Args:
        path: The VAE's folder as diffusers saves it, a pipeline's folder with a folder ``vae``, its
            ``config.json``, or its weights as .safetensors.
        space: The space of its latents.

    Raises:
        CheckpointError: There are no such figures, or they are another space's.
    """
    found = _figures(Path(path))
    if found is None:
        raise CheckpointError(
            f"{path}: expected a VAE's config.json or .safetensors that holds scaling_factor,"
            " latents_mean and latents_std, per_channel_statistics or a batch norm; found none"
        )
    mean, deviation = found
    if len(mean) != len(deviation) or len(mean) not in (1, space.channels, 4 * space.channels):
        raise CheckpointError(
            f"{path}: expected figures for the {space.channels} channels of {space.name}, found"
            f" {len(mean)} means and {len(deviation)} deviations; give the VAE of these latents"
        )
    return replace(space, mean=mean, deviation=deviation, source=str(path))


def _figures(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Means and deviations, where there are any."""
    if not path.exists():
        raise InputError(f"vae: expected a file or a folder, found none at {path}; check the path")
    if path.is_dir():
        folder = path / "vae" if (path / "vae").is_dir() else path
        files = [folder / _CONFIG, *sorted(folder.glob("*.safetensors"))]
        # Weights say more than a config that holds no more than the factor 1.
        found = [_figures(file) for file in files if file.exists()]
        return max(filter(None, found), key=lambda each: len(each[0]), default=None)
    with _as_checkpoint_errors(path):
        if path.suffix.lower() == ".json":
            return _of_config(json.loads(path.read_text(encoding="utf-8")))
        with safe_open(path, framework="pt") as file:
            return _of_weights(file)


def _of_config(config: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    factor, shift = config.get("scaling_factor"), config.get("shift_factor") or 0.0
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and deviation is not None:
        factor = factor or 1.0
        return tuple(map(float, mean)), tuple(float(each) / factor for each in deviation)
    return None if factor is None else ((float(shift),), (1 / float(factor),))


def _of_weights(file: Any) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    names = list(file.keys())

    def tensor(ending: str) -> Tensor | None:
        for name in names:
            if name == ending or name.endswith(f".{ending}"):
                found: Tensor = file.get_tensor(name)
                return found.double().flatten()
        return None

    for mean_name, deviation_name in _STATISTICS:
        mean, deviation = tensor(mean_name), tensor(deviation_name)
        if mean is not None and deviation is not None:
            return tuple(mean.tolist()), tuple(deviation.tolist())
    mean, variance = (tensor(name) for name in _BATCH_NORM)
    if mean is None or variance is None:
        return None
    return tuple(mean.tolist()), tuple(torch.sqrt(variance + _BATCH_NORM_EPS).tolist())


@contextmanager
def _as_checkpoint_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (*_UNREADABLE, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: expected a VAE's config.json or .safetensors, found what cannot be read"
            f" ({first_line(error)}); copy or download it anew"
        ) from error
