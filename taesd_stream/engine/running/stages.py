"""The passes of a network over planes of one size: tiles, kernels, and what they have learned."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from taesd_stream.engine.backends import Backend, Kernel
from taesd_stream.engine.budget import is_out_of_memory, release
from taesd_stream.engine.running.tile_states import TileStates
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.canvas import Canvas
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.network import Network
from taesd_stream.models.plane_uses import PlaneUse
from tiling import Backoff, Block, Size, TilePlan

__all__ = ["Stage", "Stages"]

_log = logging.getLogger("taesd_stream")


@dataclass(frozen=True, slots=True)
class Stage:
    """A pass over planes of one size, its tiles, and what they remember.

    Attributes:
        each: The pass.
        canvas: What it is run over.
        out: Height and width of the plane that it makes.
        use: What it does with planes.
        backoff: Runs its tiles.
        kernel: Computes one.
        states: What tiles remember of earlier time steps; None for those that remember nothing.
    """

    each: Pass
    canvas: Canvas
    out: Size
    use: PlaneUse
    backoff: Backoff
    kernel: Kernel
    states: TileStates | None = None


class Stages:
    """Makes stages for planes of any size; what memory had no room for, it keeps.

    Args:
        network: The encoder or the decoder.
        settings: Where and how it computes.
        plan: Tells the largest tile, and which part of the output is made.
        backend: Who computes the layers.
    """

    def __init__(
        self, network: Network, settings: Settings, plan: TilePlan, backend: Backend
    ) -> None:
        self._network, self._settings = network, settings
        self._plan, self._backend = plan, backend
        self._backoffs: dict[tuple[int, int], Backoff] = {}

    def canvases(self, plane: Size) -> tuple[Canvas, ...]:
        """The canvas that every pass is run over."""
        tile, continued = self._plan.tile, self._plan.grid.continued
        return self._network.canvases(plane, tile, self._plan.view, continued=continued)

    def over(self, plane: Size, states: TileStates | None) -> list[Stage]:
        """The stages of an input ``plane``."""
        stages = []
        for index, (each, canvas, use) in enumerate(
            zip(self._network.passes, self.canvases(plane), self._network.uses, strict=True)
        ):
            backoff = self._backoff(index, canvas.grid.cell)
            kernel = self._kernel(each)
            plane = each.out_plane(plane)
            stages.append(Stage(each, canvas, plane, use, backoff, kernel, states))
        return stages

    def _kernel(self, each: Pass) -> Kernel:
        if not each.body.layers:  # a global layer does all of it
            return lambda tile, rows, columns, state: tile
        return self._backend.kernel(each, self._plan.recorded_bytes)

    def _backoff(self, index: int, cell: int) -> Backoff:
        return self._backoffs.setdefault(
            (index, cell),
            Backoff(
                cell=cell,
                is_out_of_memory=is_out_of_memory,
                keeps_frames=self._network.in_chunks,
                on_shrink=self._on_shrink,
            ),
        )

    def _on_shrink(self, block: Block, left: int) -> None:
        release(self._settings.device)
        _log.warning(
            "memory ran out at a tile of %s elements; going on with smaller tiles, %d left here",
            block.region.shape,
            left,
        )
