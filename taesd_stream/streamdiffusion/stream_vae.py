"""The engine in the place where StreamDiffusion has its VAE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.model_encoding import encoded
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.shapes import check_channels
from taesd_stream.engine.streams.clip import Clip

__all__ = ["StreamVAE"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Latents, as ``retrieve_latents`` asks for them: (N, C, h, w)."""

    latents: Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pictures, (N, 3, H, W) in [-1, 1]."""

    sample: Tensor


class StreamVAE:
    """What StreamDiffusion calls of a VAE: ``encode``, ``decode``, ``dtype`` and ``config``.

    All latents that are decoded are one video, however many come at a time. Nothing here waits for
    a GPU.

    Args:
        model: Decodes, and encodes if it can.
        options: How pictures are cut into tiles.
        previous: The VAE that was there; it encodes where the model cannot.
        dtype: Of the pipeline.
        on_frames: Told the frames of every decode, (n, 3, H, W) in [0, 1].

    Attributes:
        config: The factor 1, since latents come and go in the diffusion model's own scale.
        dtype: In which the pipeline hands over pictures.
    """

    def __init__(
        self,
        model: AutoEncoder,
        options: TileOptions,
        previous: Any,
        dtype: torch.dtype,
        on_frames: Callable[[Tensor], None],
    ) -> None:
        self.config = SimpleNamespace(
            scaling_factor=1.0, shift_factor=0.0, latent_channels=model.spec.latent_channels
        )
        self.dtype = dtype
        self._spec = model.spec
        self._decoder, self._options = coder_of(model, "decode"), options
        self._encoder = coder_of(model, "encode") if model.spec.can_encode else None
        self._previous, self._on_frames = previous, on_frames
        self._clip: Clip | None = None
        self._size: torch.Size | None = None

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Latents of pictures, (N, 3, H, W) in [-1, 1], in their dtype and on their device."""
        if self._encoder is None:
            return _Scaled(self._previous.encode(x), self._previous.config.scaling_factor)
        images = x.float().div(2).add_(0.5)
        made = encoded(self._encoder, images, self._options).to(x.device, x.dtype)
        return Encoded(made) if return_dict else (made,)

    def decode(
        self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> Decoded | tuple[Tensor]:
        """The next frames of the video, (n, 3, H, W) in [-1, 1].

        Args:
            z: (n, C, h, w), the next latents. Where they have another size, a video begins.
            return_dict: Whether to return an object with ``sample``, and not a tuple.
            generator: Nothing is drawn.

        Raises:
            InputError: They have other channels; the models that fit are named.
        """
        check_channels(z, 1, self._spec)
        if self._clip is None or z.shape[2:] != self._size:
            self._clip, self._size = Clip(self._decoder, self._options), z.shape[2:]
        clip, self._clip = self._clip, None  # What is cut short cannot be gone on with.
        frames = clip.decode(z)
        self._clip = clip
        self._on_frames(frames)
        made = frames.mul(2).sub_(1).to(z.device, z.dtype)
        return Decoded(made) if return_dict else (made,)

    def reset(self) -> None:
        """Begin a video with the next latent."""
        self._clip = None


class _Scaled:
    """What a full VAE's ``encode`` returned, in the diffusion model's scale.

    It has what that has of ``latent_dist`` and ``latents``, by which ``retrieve_latents`` tells.
    """

    def __init__(self, encoded: Any, factor: float) -> None:
        if hasattr(encoded, "latent_dist"):
            self.latent_dist = _ScaledDistribution(encoded.latent_dist, factor)
        else:
            self.latents = encoded.latents * factor


class _ScaledDistribution:
    def __init__(self, distribution: Any, factor: float) -> None:
        self._distribution, self._factor = distribution, factor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A sample."""
        made: Tensor = self._distribution.sample(generator)
        return made * self._factor

    def mode(self) -> Tensor:
        """The likeliest."""
        made: Tensor = self._distribution.mode()
        return made * self._factor
