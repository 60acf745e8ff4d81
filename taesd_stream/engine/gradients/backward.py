"""Gradients of what one half of a model makes, brought back within a budget."""

from __future__ import annotations

import torch
from torch import Tensor

from taesd_stream.engine.backends import EagerBackend
from taesd_stream.engine.budget import Budget
from taesd_stream.engine.gradients.pulling import Outward, Pulling
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.recorded import BackwardPlanner
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.running.blended import patches_of
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.layers.differentiable import differentiable
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.network import Network
from tiling import Region, Size, TilePlan

__all__ = ["Backward"]


def can_go_back(network: Network) -> bool:
    """Whether gradients are brought back through a network tile by tile."""
    openings = (each.opening for each in network.passes)
    return network.goes_straight and all(
        each is None or isinstance(each, GlobalPool) for each in openings
    )


class Backward:
    """Plans how gradients are brought back through one network, and does it.

    PyTorch's kernels do, whatever backend went forward; where that was of 8 bits, gradients are
    those of the network in float32.

    Args:
        model: The model's name.
        network: The encoder or the decoder, on its device.
        settings: Where and how it computes.
    """

    def __init__(self, model: str, network: Network, settings: Settings) -> None:
        self._model = model
        self._network = network
        self._settings = Settings(settings.device, settings.tensor_dtype, "torch")
        self._planner = BackwardPlanner(model, network, self._settings)
        self._backend = EagerBackend(differentiable)

    def plan(
        self, plane: Size, workload: Workload, options: TileOptions, budget: Budget
    ) -> TilePlan:
        """The plan for pictures, or a video, whose input plane is ``plane``.

        Raises:
            InputError: An option makes no sense, or nothing fits the budget, or the network is one
                that is not gone back through in tiles.
        """
        if not can_go_back(self._network):
            raise InputError(
                "gradients: expected a model that is gone back through in tiles, found"
                f" {self._model}, whose norms see whole planes; take decoder_module() or"
                " encoder_module(), which are undivided, or a tiny model of the same latents"
            )
        return self._planner.plan(plane, workload, options, budget)

    def run(self, plan: TilePlan, source: Tensor, outward: Outward) -> Tensor:
        """The gradient of (N, C, h, w), pictures or the steps of one video, of their dtype."""
        pulling = Pulling(self._network, self._settings, plan, self._backend)
        if plan.overlap == "exact":
            return pulling.run(source, outward).to(source.dtype)
        found = torch.zeros_like(source, dtype=torch.promote_types(source.dtype, torch.float32))
        plane = Size(*source.shape[2:])
        for patch in patches_of(plan, self._network.scale, plane, self._network.out_plane(plane)):
            y, x = patch.read.within(Region.whole(plane))
            part = pulling.run(source[:, :, y, x], outward.weighted(patch))
            found[:, :, y, x] += part
        return found.to(source.dtype)
