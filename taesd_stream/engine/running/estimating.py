"""Estimates the norms of pictures from the same pictures at reduced size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.engine.budget import Budget
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.planning.planner import Planner
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.planes import Plane, TensorPlane
from taesd_stream.models.layers.moments import Moments
from taesd_stream.models.layers.tile_state import Known
from taesd_stream.models.network import Network
from tiling import Block, Interval, Region

__all__ = ["NormEstimate", "reduced"]

# Of the longer side, in latents: 512x512 pixels where a latent is 8x8.
_MOST_LATENTS = 64


class NormEstimate:
    """Finds the figures of norms by running the exact network over small pictures.

    Args:
        network: The exact network, on its device.
        planner: Plans for it.
        budget: What that may take.
    """

    def __init__(self, network: Network, planner: Planner, budget: Budget) -> None:
        self._network, self._planner, self._budget = network, planner, budget

    def __call__(self, plane: Plane) -> Known:
        """The norms of some pictures, completed."""
        _, down = self._network.scale
        with Computing(self._planner.settings):
            small = TensorPlane(reduced(plane, _MOST_LATENTS * down, down))
        workload = Workload(small.frames, small.frames)
        plan = self._planner.plan(small.size, workload, TileOptions(), self._budget)
        return Executor(self._network, self._planner.settings, plan).openings(small)


def reduced(plane: Plane, most: int, multiple: int) -> Tensor:
    """Pictures at reduced size, (N, C, h, w): every pixel is the mean of a square of pixels.

    Means have a smaller deviation than what they are of; that of every channel is restored.

    Args:
        plane: The pictures.
        most: The longer side shall have no more pixels, if all sides can be multiples.
        multiple: Sides are multiples of it, if the picture's are as long.
    """
    times = -(-max(plane.size) // most)
    height, width = (max(multiple, side // times // multiple * multiple) for side in plane.size)
    bands = []
    moments: Moments | None = None
    for row in range(height):
        rows = Interval(row * plane.size.height // height, (row + 1) * plane.size.height // height)
        region = Region(rows, Interval(0, plane.size.width))
        band = plane.read(Block(Interval(0, plane.frames), region)).float()
        if moments is None:
            moments = Moments(plane.frames, band.shape[1], plane.size.area, band.device)
        moments.add(Interval(0, plane.frames), band)
        bands.append(F.adaptive_avg_pool2d(band, (1, width)))
    small = torch.cat(bands, dim=2)
    return small if moments is None else _with_deviation_of(small, moments)


def _with_deviation_of(small: Tensor, moments: Moments) -> Tensor:
    mean = moments.total / moments.pixels
    deviation = (moments.squares / moments.pixels - mean**2).clamp_min(0).sqrt()
    now = small.std(dim=(2, 3), correction=0).clamp_min(1e-6)
    gain = (deviation / now).float()[..., None, None]
    centre = small.mean(dim=(2, 3), keepdim=True)
    return (small - centre) * gain + mean.float()[..., None, None]
