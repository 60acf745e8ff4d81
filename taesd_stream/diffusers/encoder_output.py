"""What a VAE's ``encode`` returns to pipelines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.utils import BaseOutput
from torch import Tensor

__all__ = ["CertainDistribution", "EncoderOutput"]


@dataclass
class EncoderOutput(BaseOutput):  # type: ignore[misc]
    """Latents, under both names by which pipelines ask for them.

    Attributes:
        latents: (N, C, h, w) or (N, C, T, h, w).
        latent_dist: The same, as a distribution.
    """

    latents: Tensor
    latent_dist: CertainDistribution


class CertainDistribution:
    """A distribution of one value, which is also its mean: tiny encoders make no others.

    Args:
        value: The value.
    """

    def __init__(self, value: Tensor) -> None:
        self.mean = value

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The value; nothing is drawn."""
        return self.mean

    def mode(self) -> Tensor:
        """The value."""
        return self.mean
