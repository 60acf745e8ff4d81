"""The scale that callers' latents have, brought to the one that a network takes, and back."""

from __future__ import annotations

import logging
import math

from torch import Tensor

from taesd_stream.models.latent_spaces import Convention, LatentSpace

__all__ = ["LatentScale"]

_log = logging.getLogger("taesd_stream")

# Mean deviations within the channels of a latent, measured in the "model" scale: 1.11 to 1.15 in a
# clip of Stable Diffusion, 0.77 to 0.79 in one of FLUX.2, 0.58 to 1.19 in one of Wan 2.1. A flat
# picture has none, so that only a low deviation that is no flat picture's tells anything.
_LEAST_OF_A_PICTURE = 0.45
_FEWEST_POSITIONS = 16


class LatentScale:
    """The scale of the latents of one run.

    Args:
        space: The space of the latents.
        network: The convention of the network.
        callers: That of the latents as the caller has, or wants, them.

    Raises:
        InputError: They differ, and the space's figures are not published.

    Attributes:
        convention: The caller's.
    """

    def __init__(self, space: LatentSpace, network: Convention, callers: Convention) -> None:
        self.convention = callers
        self._space, self._network = space, network
        self._was_looked_at = False
        if network != callers:
            space.require_figures()

    def to_network(self, latents: Tensor, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Latents as the network takes them; the first ones are looked at.

        Args:
            latents: (..., C, h, w), as the caller has them.
            origin: The row and column of the first of each in its plane.
        """
        if not self._was_looked_at:
            self._was_looked_at = True
            self._warn_of(latents)
        if self._network == self.convention:
            return latents
        return self._space.converted(latents, self._network, origin=origin)

    def from_network(self, latents: Tensor, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """Latents that the network made as the caller wants them, in the same dtype."""
        if self._network == self.convention:
            return latents
        return self._space.converted(latents, self.convention, origin=origin).to(latents.dtype)

    def _warn_of(self, latents: Tensor) -> None:
        """Say so, once, where numbers plainly have the other scale."""
        full = self._space.usual_deviation
        if full is None or full < 1.5 or math.prod(latents.shape[-2:]) < _FEWEST_POSITIONS:
            return
        one = latents.detach()[(0,) * (latents.dim() - 3)].float()
        found = float(one.flatten(-2).std(-1).mean())
        if self.convention == "model" and found > math.sqrt(full):
            other: Convention = "vae"
        elif self.convention == "vae" and 0.4 < found < _LEAST_OF_A_PICTURE * full:
            other = "model"
        else:
            return
        usual = 1.0 if self.convention == "model" else full
        _log.warning(
            f"these latents deviate by {found:.2f} within a channel, where {self._space.name}'s in"
            f" the convention {self.convention} do by about {usual:.1f}: if colours are wrong, give"
            f" --convention {other} (convention= in Python)"
        )
