"""A model by its name: what it decodes, what it is built of, and where its weights are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from taesd_stream.models.latent_spaces import Convention, LatentSpace
from taesd_stream.models.network import Network
from taesd_stream.models.timing import DecodeTiming, EncodeTiming

__all__ = ["Variant", "Weights"]

Weights: TypeAlias = Literal["official", "hub", "packaged", "none"]
"""Where a variant's weights are: published by its author on GitHub (verified) or on the Hugging
Face hub, inside this package, or not needed."""

_FRAME_PER_LATENT = DecodeTiming()
_LATENT_PER_FRAME = EncodeTiming()


@dataclass(frozen=True, slots=True)
class Variant:
    """A model by its name.

    Attributes:
        name: As callers write it.
        latents_of: The diffusion models whose latents it decodes.
        space: The space of these latents, which has their channels and scales.
        spatial_scale: Pixels per latent along an axis.
        decoder: Builds the decoder; its weights are empty where it needs any.
        encoder: The same for the encoder, or None.
        weights: Where its weights are.
        timing: Which frames its latents become.
        encode_timing: Which latents its encoder's frames become.
        leaves_out: What its decoder can be built without: "time" and "space" upscaling.
        convention: The scale of the latents that the network itself takes and makes.
        also: Names by which users know its latents' space: they lead to it, too.
        hub: The repository on the Hugging Face hub that has its weights, where "hub" says so.
        image_channels: Of the pictures: 3, or 4 where they are RGBA of straight alpha.
        is_fine: Whether it is a full VAE, which takes many times as long as a tiny one.
        in_chunks: Whether its decoder makes frames in chunks, each of all latents of its chunk.
    """

    name: str
    latents_of: str
    space: LatentSpace
    spatial_scale: int
    decoder: Callable[..., Network]
    encoder: Callable[[], Network] | None
    weights: Weights = "official"
    timing: DecodeTiming = _FRAME_PER_LATENT
    encode_timing: EncodeTiming = _LATENT_PER_FRAME
    leaves_out: tuple[str, ...] = ()
    convention: Convention = "model"
    also: tuple[str, ...] = ()
    hub: str | None = None
    image_channels: int = 3
    is_fine: bool = False
    in_chunks: bool = False

    @property
    def latent_channels(self) -> int:
        """C."""
        return self.space.channels

    @property
    def built_in(self) -> bool:
        """Whether the package alone is enough to decode with it."""
        return self.weights in ("packaged", "none")

    @property
    def is_suggested(self) -> bool:
        """Whether it may be taken unasked: its author's own, of TAESD and its kin, to download."""
        is_authors = self.weights == "official" or (self.hub or "").startswith("madebyollin/")
        return is_authors and not self.is_fine
