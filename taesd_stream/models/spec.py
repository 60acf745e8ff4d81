"""The figures of a loaded model."""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.models.latent_spaces import Convention, LatentSpace
from taesd_stream.models.network import Network
from taesd_stream.models.timing import DecodeTiming, EncodeTiming
from taesd_stream.models.variant import Variant
from tiling import Interval

__all__ = ["ModelSpec", "spec_of"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model in figures.

    Attributes:
        name: The variant's name, such as "taesd".
        latent_channels: Channels of the latents.
        space: The space of the latents, with the figures between its two scales.
        convention: The scale of latents that the network takes and makes; decoding and encoding
            convert others.
        spatial_scale: Pixels per latent along each axis.
        temporal_scale: Frames per latent along time; 1 for image models.
        latents_back: How many earlier latents a frame depends on; 0 for image models.
        frames_back: How many earlier frames a latent depends on when encoding.
        first_frame_after: Latents that must have come before the first frame is known: the fewest
            there can be, while nobody knows how many will come. For taecvx it takes that number, or
            the end; for taeh3, whose number here is 2, one is enough where it is known.
        timing: Which frames latents become: ``timing.frames(16)`` says how many.
        encode_timing: Which latents frames become: ``encode_timing.latents(81)``.
        image_channels: Of the pictures as tensors: 3, or 4 where they are RGBA of straight alpha.
        halo: Latents that an exact tile of a decode reads around itself in one piece; None where
            the model has layers that see the whole plane (or has no decoder).
        encoder_halo: The same for an encode, also in latents.
        can_decode: Whether a decoder was loaded.
        can_encode: Whether an encoder was loaded.
    """

    name: str
    latent_channels: int
    space: LatentSpace
    convention: Convention
    spatial_scale: int
    temporal_scale: int
    halo: int | None
    encoder_halo: int | None
    can_decode: bool
    can_encode: bool
    latents_back: int
    frames_back: int
    first_frame_after: int
    timing: DecodeTiming
    encode_timing: EncodeTiming
    image_channels: int = 3

    @property
    def has_alpha(self) -> bool:
        """Whether pictures are RGBA."""
        return self.image_channels == 4

    @property
    def label(self) -> str:
        """Name and scales: what tells a model from its own reduced forms.

        For example "taehv (8 pixels and 4 frames per latent)".
        """
        frames = "1 frame" if self.temporal_scale == 1 else f"{self.temporal_scale} frames"
        return f"{self.name} ({self.spatial_scale} pixels and {frames} per latent)"


def spec_of(variant: Variant, encoder: Network | None, decoder: Network | None) -> ModelSpec:
    """The figures of a variant with the halves that were loaded."""
    return ModelSpec(
        name=variant.name,
        latent_channels=variant.latent_channels,
        space=variant.space,
        convention=variant.convention,
        spatial_scale=variant.spatial_scale,
        temporal_scale=variant.timing.growth,
        halo=decoder.halo if decoder is not None else None,
        encoder_halo=encoder.halo if encoder is not None else None,
        can_decode=decoder is not None,
        can_encode=encoder is not None,
        latents_back=_back(decoder),
        frames_back=_back(encoder),
        first_frame_after=variant.timing.least,
        timing=variant.timing,
        encode_timing=variant.encode_timing,
        image_channels=variant.image_channels,
    )


def _back(network: Network | None) -> int:
    """Input steps before its own that an output step depends on."""
    if network is None:
        return 0
    up, down = network.rate
    return -network.reads_steps(Interval(0, max(1, up // down))).start
