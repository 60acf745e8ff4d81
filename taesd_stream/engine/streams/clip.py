"""A video that comes in pieces, decoded to tensors."""

from __future__ import annotations

from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.run import Run
from taesd_stream.engine.tensors import computed
from taesd_stream.errors import InputError
from tiling import Size

__all__ = ["Clip"]


class Clip:
    """A video of a model that makes a frame of every latent, decoded piece by piece.

    What tiles remember of one piece, the next one goes on from.

    Args:
        coder: The decoder.
        options: How latents are cut into tiles.
    """

    def __init__(self, coder: Coder, options: TileOptions) -> None:
        self._coder, self._options = coder, options
        self._run: Run | None = None

    def decode(self, latents: Tensor) -> Tensor:
        """The next frames, (T, 3, H, W) in [0, 1], of the next latents, (T, C, h, w).

        Raises:
            InputError: They have another size than those before.
        """
        plane = Size(*latents.shape[2:])
        if self._run is None:
            plan = self._coder.plan(
                plane, Workload(steps=None, pictures=None, ahead=latents.shape[0]), self._options
            )
            self._run = Run(self._coder, plan, plane, goes_on=True)
        if self._run.plane != plane:
            raise InputError(
                f"latents: expected {self._run.plane}, as those before of this clip, found {plane}"
            )
        return computed(self._coder, self._run, latents, latents.shape[0]).clamp_(0, 1)
