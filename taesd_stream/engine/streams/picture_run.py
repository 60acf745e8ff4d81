"""One picture of any size, in tiles that complete it from top to bottom."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.run import OnTile, Run
from taesd_stream.engine.running.planes import PicturePlane
from taesd_stream.engine.shapes import as_sizes
from taesd_stream.engine.speeds import Speed, timed
from taesd_stream.errors import InputError
from tiling import BandPlan, Interval, Region, Size, TilePlan

__all__ = ["PictureRun"]


_WORKLOAD = Workload(steps=1, pictures=1, ahead=None, bands=True)
"""The workload of one picture that is made band by band."""


class PictureRun:
    """A picture that is decoded, or encoded, row of tiles by row of tiles.

    What it is made of is read region by region, and nothing that it makes is kept: memory depends
    on the width and the budget, never on the height.

    Made by ``AutoEncoder.open_picture``.

    Args:
        coder: The decoder or the encoder.
        plane: The latent, or the picture, that is read.
        options: How the work is cut into tiles.
        scale: Of the latents that are made, where a picture is encoded.

    Raises:
        InputError: It is none for this model, an option is wrong, or nothing fits the budget.

    Attributes:
        plan: How it is cut.
        waiting: Where rows of finished tiles wait until they are written, as planned.
        made: Height and width of what is made: pixels, or latents.
        dtype: What tiles come in.
        bands: The rows that each row of tiles completes, from top to bottom.
    """

    def __init__(
        self,
        coder: Coder,
        plane: PicturePlane,
        options: TileOptions,
        scale: LatentScale | None = None,
    ) -> None:
        name, size = coder.spec.name, plane.size
        if coder.network.sees_other_steps:
            raise InputError(
                f"picture: expected a model for pictures, found {name}, which is for videos;"
                " stream frames instead"
            )
        as_sizes((plane.channels, *size), coder.network.channels, name)
        self.plan: TilePlan = timed(coder.plan(size, _WORKLOAD, options), self.step_count)
        self._plane, self._scale = plane, scale
        if self.plan.bands is None:
            raise TypeError("expected a plan for bands")
        self.waiting: BandPlan = self.plan.bands
        self._run = Run(coder, self.plan, size, goes_on=False)
        self.made: Size = self._run.made
        self.dtype: torch.dtype = coder.settings.tensor_dtype
        self.bands: tuple[Interval, ...] = self._run.bands

    @property
    def step_count(self) -> int:
        """The number of pictures."""
        return 1

    def tell_time(self, speed: Speed) -> None:
        """Put into the plan how long it takes at a speed."""
        self.plan = self._run.plan = timed(self.plan, self.step_count, speed)

    def tiles(
        self, *, first_band: int = 0, on_tile: OnTile | None = None
    ) -> Generator[tuple[Region, Tensor]]:
        """The tiles in reading order, so that each band is complete before the next begins.

        Args:
            first_band: The first of ``bands`` to make; those above are taken to be there already.
            on_tile: Told after each tile how many elements of the picture are done, and of how
                many; those above ``first_band`` count.

        Yields:
            Where a tile lies, and (C, h, w) of it on the computing device, not clamped.

        Raises:
            NonFiniteError: What it is made of holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        for block, tile in self._run.tiles(self._plane, on_tile, first_band=first_band):
            region, made = block.region, tile[0]
            if self._scale is not None:
                made = self._scale.from_network(made, (region.y.start, region.x.start))
            yield region, made
