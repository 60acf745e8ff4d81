"""Latents that the ranges for int8 are found on."""

from __future__ import annotations

from torch import Tensor

from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.options import ModelOptions
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource, open_latents
from taesd_stream.models import Variant
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.samples import sample_path

__all__ = ["calibration_latents"]

_MOST = 8
# The models whose latents the sample inside the package is.
_SAMPLE_IS_FOR = ("taesd", "nano")


def calibration_latents(variant: Variant, options: ModelOptions, *, in_a_row: bool) -> list[Tensor]:
    """Some latents, (C, h, w) each, of those given or the sample's, in the network's scale.

    Args:
        options: Of these, ``calibration``, and ``convention`` where the latents do not tell.
        in_a_row: Whether they shall be of a video, one after the other, from its middle; else
            they are spread over all.

    Raises:
        InputError: None are given, and the sample is not for this model.
    """
    given = options.calibration
    if given is None:
        if variant.name not in _SAMPLE_IS_FOR:
            raise InputError(
                f"calibration: expected latents for {variant.name} to find the ranges for int8"
                " with, found none, and the sample inside the package is for"
                f" {' and '.join(_SAMPLE_IS_FOR)}; give --calibration FILE (calibration= in Python)"
            )
        with open_latents(sample_path()) as sample:
            return _chosen(sample, variant, "model", in_a_row=in_a_row)
    if isinstance(given, LatentSource):
        return _chosen(given, variant, options.convention, in_a_row=in_a_row)
    with open_latents(given, channels=variant.latent_channels) as source:
        return _chosen(source, variant, options.convention, in_a_row=in_a_row)


def _chosen(
    source: LatentSource, variant: Variant, convention: Convention | None, *, in_a_row: bool
) -> list[Tensor]:
    most = min(len(source), _MOST)
    scale = LatentScale(
        variant.space, variant.convention, source.convention or convention or "model"
    )
    first = (len(source) - most) // 2
    apart = (index * len(source) // most for index in range(most))
    chosen = range(first, first + most) if in_a_row else apart
    return [scale.to_network(source[index]) for index in chosen]
