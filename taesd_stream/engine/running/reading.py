"""Reading what tiles are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from taesd_stream.engine.device_copies import on_device
from taesd_stream.engine.running.planes import Plane, read_around
from taesd_stream.engine.running.stages import Stage
from taesd_stream.engine.settings import Settings
from tiling import Block, View

__all__ = ["TileReader"]


class TileReader:
    """Reads parts of planes for tiles that several threads compute.

    Args:
        settings: Where and how these compute.
        view: Tells where planes go around.
    """

    def __init__(self, settings: Settings, view: View) -> None:
        self._settings, self._view = settings, view

    def read(self, stage: Stage, plane: Plane, block: Block) -> Tensor:
        """A part, (n, C, h, w), of what a pass reads, on the device; ``block`` is on its canvas."""
        if not block.region.area:  # the last tile of a band may need no more columns
            shape = (block.frames.size, stage.each.channels, *block.region.shape)
            device, dtype = self._settings.device, self._settings.tensor_dtype
            return torch.empty(shape, dtype=dtype, device=device)
        part = read_around(plane, stage.canvas.read_place(block), self._view)
        return on_device(part, self._settings)
