"""The gradient of what one tile reads: the tile is computed again, and gone back through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.running.planes import Plane
from taesd_stream.engine.running.reading import TileReader
from taesd_stream.engine.running.stages import Stage
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.global_pool import NormalisedPool
from taesd_stream.models.layers.tile_state import LayerStates, TileState
from tiling import Block, Region, View

__all__ = ["GradientOf", "Pulled", "StepsPulled", "Tiles", "leaf_of"]

GradientOf: TypeAlias = Callable[[Block, Tensor], Tensor]
"""The gradient of a tile of a pass's output, given which one, in input steps, and the tile."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """The gradient of a tile, brought back to what its pass reads.

    Attributes:
        place: The part that the tile reads, on the canvas of the pass.
        of_input: (n, C, h, w), the gradient of that part.
        of_pool: The gradients of the figures of the global branch that opens the pass, if one does.
    """

    place: Block
    of_input: Tensor
    of_pool: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class StepsPulled:
    """The gradient of some steps of a tile of a video, brought back.

    Attributes:
        of_input: (n, C, h, w), the gradient of what they read.
        of_states: The gradient of what layers kept before them.
    """

    of_input: Tensor
    of_states: LayerStates


class Tiles:
    """The tiles of a pass over a plane, which are gone back through.

    Args:
        stage: The pass, whose kernel autograd can go back through.
        plane: What it reads.
        settings: Where and how it is computed.
        view: Tells where planes go around.
        gradient_of: Tells the gradient of what it makes.
    """

    def __init__(
        self,
        stage: Stage,
        plane: Plane,
        settings: Settings,
        view: View,
        gradient_of: GradientOf,
    ) -> None:
        self._stage, self._plane, self._settings = stage, plane, settings
        self._reader = TileReader(settings, view)
        self._gradient_of = gradient_of

    def place(self, block: Block) -> Block:
        """The part that a tile reads, on the canvas of the pass."""
        rows, columns = self._stage.each.spans(block.region, self._stage.canvas.plane)
        return Block(block.frames, Region(rows.have, columns.have))

    def back(self, block: Block, pool: NormalisedPool | None) -> Pulled:
        """Go back through a tile of pictures, and the global branch that opens the pass."""
        with Computing(self._settings, recorded=True):
            part = self._leaf(block)
            figures = () if pool is None else (pool.expand, pool.offset)
            opened = part if pool is None else pool(part, block)
            made = self._made(block, opened, TileState(together=block.frames.size))
            gradient = self._gradient_of(block, made.detach())
            of_input, *of_pool = torch.autograd.grad(made, (part, *figures), gradient)
        return Pulled(self.place(block), of_input, tuple(of_pool))

    def back_in_time(self, block: Block, kept: LayerStates, of_states: LayerStates) -> StepsPulled:
        """Go back through some steps of a tile of a video.

        Args:
            kept: What layers kept before the first of them.
            of_states: The gradient of what they keep after the last.
        """
        with Computing(self._settings, recorded=True):
            part = self._leaf(block)
            before = {layer: leaf_of(tensor) for layer, tensor in kept.items()}
            state = TileState(before, together=self._together(block))
            made = self._made(block, part, state)
            ends = [(state.kept[layer], of_state) for layer, of_state in of_states.items()]
            if made.shape[0]:
                ends.append((made, self._gradient_of(block, made.detach())))
            recorded = [(end, gradient) for end, gradient in ends if end.requires_grad]
            leaves = (part, *before.values())
            if not recorded:
                found: tuple[Tensor | None, ...] = (None,) * len(leaves)
            else:
                outputs, gradients = zip(*recorded, strict=True)
                found = torch.autograd.grad(outputs, leaves, gradients, allow_unused=True)
            of_input, *of_kept = (
                torch.zeros_like(leaf) if gradient is None else gradient
                for leaf, gradient in zip(leaves, found, strict=True)
            )
        return StepsPulled(of_input, dict(zip(before, of_kept, strict=True)))

    def go_on(self, block: Block, kept: LayerStates) -> LayerStates:
        """What layers keep after some steps of a tile of a video."""
        with Computing(self._settings):
            state = TileState(kept, together=self._together(block))
            self._made(block, self._reader.read(self._stage, self._plane, self.place(block)), state)
        return state.kept

    def _made(self, block: Block, part: Tensor, state: TileState) -> Tensor:
        rows, columns = self._stage.each.spans(block.region, self._stage.canvas.plane)
        return self._stage.kernel(part, rows, columns, state)

    def _leaf(self, block: Block) -> Tensor:
        return leaf_of(self._reader.read(self._stage, self._plane, self.place(block)))

    def _together(self, block: Block) -> int:
        """The most steps for layers that come after one became several."""
        return 1 if self._settings.device.type == "cpu" else block.frames.size


def leaf_of(tensor: Tensor) -> Tensor:
    """The same numbers, as what a gradient is of."""
    plain = tensor.clone() if tensor.is_inference() else tensor.detach()
    return plain.requires_grad_()
