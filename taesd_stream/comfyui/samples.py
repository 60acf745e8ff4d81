"""ComfyUI's LATENT and IMAGE, and the axes and the scale that the engine takes them in.

Samples are (B, C, h, w), or (B, C, T, h, w) of video, in the scale of the full VAE, but for three
models whose VAE scales by itself: FLUX.2, whose latents are 2x2 patches, (B, 4 C, h/2, w/2), LTX-2
and MiniMax H3.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from einops import rearrange
from torch import Tensor

from taesd_stream.errors import InputError
from taesd_stream.models import VARIANTS, latent_spaces
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.spec import ModelSpec

__all__ = ["LatentForm", "samples_in"]

_log = logging.getLogger("taesd_stream")

_PATCH = 2
_SCALED_BY_THEIR_VAE = (latent_spaces.FLUX2, latent_spaces.LTX2, latent_spaces.MINIMAX_H3)


def samples_in(latent: Mapping[str, Any]) -> Tensor:
    """The samples of a LATENT: of video with sound, the video's.

    Raises:
        InputError: There are none.
    """
    samples: Any = latent.get("samples")
    if getattr(samples, "is_nested", False):
        samples, *others = samples.unbind()
        _log.info(
            "samples: the first of %d latents is decoded, which is the video's; the others, such as"
            " its sound's, are for their own decoders",
            len(others) + 1,
        )
    if not isinstance(samples, Tensor):
        raise InputError(
            "samples: expected a LATENT with a tensor under 'samples', found"
            f" {type(samples).__name__}"
        )
    return samples


class LatentForm:
    """The form in which ComfyUI has the latents of a model.

    Args:
        spec: The model.

    Attributes:
        convention: Their scale.
        channels: C of the samples.
        spatial_scale: Pixels per sample along a side.
        is_video: Whether samples have an axis of time.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._patch = _PATCH if spec.space == latent_spaces.FLUX2 else 1
        self.convention: Convention = "model" if spec.space in _SCALED_BY_THEIR_VAE else "vae"
        self.channels = spec.latent_channels * self._patch**2
        self.spatial_scale = spec.spatial_scale * self._patch
        self.is_video = spec.temporal_scale > 1

    def to_engine(self, samples: Tensor) -> Tensor:
        """Samples as the engine takes them: (N, C, h, w), or (N, T, C, h, w) of clips.

        A batch without time is a clip where the model remembers: so AnimateDiff has them.

        Raises:
            InputError: Their axes or their channels are not the model's.
        """
        self._check(samples)
        if self._patch > 1:
            samples = rearrange(
                samples,
                "b (c p q) ... h w -> b c ... (h p) (w q)",
                p=self._patch,
                q=self._patch,
            )
        if samples.dim() == 5:
            return samples.transpose(1, 2)
        return samples[None] if self._spec.latents_back else samples

    def from_engine(self, latents: Tensor) -> Tensor:
        """Latents that the engine made, (N, C, h, w) or (N, T, C, h, w), as samples."""
        if latents.dim() == 5:
            latents = latents.transpose(1, 2)
        if self._patch == 1:
            return latents
        return rearrange(
            latents,
            "b c ... (h p) (w q) -> b (c p q) ... h w",
            p=self._patch,
            q=self._patch,
        )

    def _check(self, samples: Tensor) -> None:
        shape = tuple(samples.shape)
        if samples.dim() not in (4, 5):
            raise InputError(
                "samples: expected (batch, channels, height, width), or (batch, channels, time,"
                f" height, width) of video, found {shape}"
            )
        if shape[1] == self.channels:
            return
        fitting = [
            f"{each.name} ({each.latents_of})"
            for each in VARIANTS
            if each.is_suggested and _channels_of(each.space) == shape[1]
        ]
        advice = f"load {' or '.join(fitting)}" if fitting else "no tiny model has as many"
        raise InputError(
            f"samples: expected {self.channels} channels, as {self._spec.name} takes, found"
            f" {shape[1]} in {shape}: {advice}"
        )


def _channels_of(space: latent_spaces.LatentSpace) -> int:
    """The channels that samples of a space have in ComfyUI."""
    return space.channels * (_PATCH**2 if space == latent_spaces.FLUX2 else 1)
