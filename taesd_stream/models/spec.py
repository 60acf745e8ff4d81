"""What a caller may want to know of a loaded model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ModelSpec"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model in figures.

    Attributes:
        name: The variant's name, such as "taesd".
        latent_channels: Channels of the latents.
        spatial_scale: Pixels per latent along each axis.
        temporal_scale: Frames per latent along time; 1 for image models.
        halo: Latents that an exact tile of a decode reads around itself in one piece; None where
            the model has layers that see the whole plane (or has no decoder).
        encoder_halo: The same for an encode, also in latents.
        can_decode: Whether a decoder was loaded.
        can_encode: Whether an encoder was loaded.
    """

    name: str
    latent_channels: int
    spatial_scale: int
    temporal_scale: int
    halo: int | None
    encoder_halo: int | None
    can_decode: bool
    can_encode: bool
