"""Backward through time: the steps of a tile of a video, segment by segment from the last."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from taesd_stream.engine.gradients.tiles import Pulled, Tiles
from taesd_stream.models.layers.tile_state import LayerStates
from tiling import Block, Interval, Region, chunks

__all__ = ["InTime"]


class InTime:
    """Goes back through all steps of a tile.

    Layers remember, so what a segment goes on from has to be known when its turn comes: states are
    kept on the way there. Where that would be too many, few are, and the way from each of them to
    the next is gone again (the checkpoints of Griewank and Walther, "Revolve", 2000, in two and
    more levels).

    Args:
        tiles: Those of the network.
        steps: Steps of a segment, which are recorded at once.
        states: So many states are kept at once; two at least.
    """

    def __init__(self, tiles: Tiles, *, steps: int, states: int) -> None:
        self._tiles, self._steps, self._states = tiles, steps, states

    def back(self, block: Block) -> Pulled:
        """Go back through a tile from its last step to its first."""
        first = block.frames.start
        segments = [steps.shift(first) for steps in chunks(block.frames.size, self._steps)]
        parts: list[Tensor] = []
        self._through(block.region, segments, {}, {}, parts)
        return Pulled(self._tiles.place(block), torch.cat(parts[::-1]))

    def _through(
        self,
        region: Region,
        segments: Sequence[Interval],
        kept: LayerStates,
        of_states: LayerStates,
        parts: list[Tensor],
    ) -> LayerStates:
        """Go back through segments, whose gradients are added to ``parts``, the last first.

        Args:
            kept: The states before the first segment.
            of_states: The gradient of those after the last.

        Returns:
            The gradient of the states before the first.
        """
        if len(segments) == 1:
            block = Block(segments[0], region)
            pulled = self._tiles.back_in_time(block, kept, of_states)
            parts.append(pulled.of_input)
            return pulled.of_states
        groups = self._groups(segments)
        starts = [kept]
        for group in groups[:-1]:
            for steps in group:
                kept = self._tiles.go_on(Block(steps, region), kept)
            starts.append(kept)
        del kept
        while groups:
            of_states = self._through(region, groups.pop(), starts.pop(), of_states, parts)
        return of_states

    def _groups(self, segments: Sequence[Interval]) -> list[Sequence[Interval]]:
        """Each segment by itself if as many states can be kept; else as many groups as half."""
        most = self._states if len(segments) <= self._states else max(2, self._states // 2)
        return [
            segments[each.start : each.stop]
            for each in chunks(len(segments), -(-len(segments) // most))
        ]
