"""Patches of a smaller overlap than exactness needs, cross-faded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.planes import Plane
from taesd_stream.engine.running.tile_states import TileStates
from tiling import Block, Interval, Region, Size, TilePlan, weights

__all__ = ["blended_tiles"]


def blended_tiles(
    executor: Executor,
    plan: TilePlan,
    source: Plane,
    made: Size,
    states: Sequence[TileStates | None],
) -> Iterator[tuple[Block, Tensor]]:
    """The parts whose sum is the blended output.

    Every patch is computed as a picture of its own, exactly, however little memory there is; its
    weight rises and falls linearly where it overlaps others, and all weights sum to one.

    Args:
        executor: Runs the patches.
        plan: A plan whose overlap is a number.
        source: The network's input.
        made: Height and width of the output.
        states: What each patch remembers of earlier steps, patch by patch in reading order.

    Yields:
        Where a part belongs, and the part, weighted, in float32.
    """
    rows, columns = plan.patches
    up, down = executor.scale
    high = _weights(rows, made.height, up, int(plan.overlap))
    wide = _weights(columns, made.width, up, int(plan.overlap))
    parts = product(zip(rows, high, strict=True), zip(columns, wide, strict=True))
    for ((row, row_weight), (column, column_weight)), kept in zip(parts, states, strict=True):
        region = Region(row, column).scale(down).clip(source.size)
        patch = source.read(Block(Interval(0, source.frames), region))
        for block, tile in executor.run(patch, kept):
            _, in_y, in_x = block.slices
            weight = torch.outer(row_weight[in_y], column_weight[in_x]).to(tile.device)
            place = block.region.shift(row.start * up, column.start * up)
            yield Block(block.frames, place), tile.float() * weight


def _weights(patches: tuple[Interval, ...], size: int, up: int, overlap: int) -> list[Tensor]:
    scaled = [patch.scale(up) for patch in patches]
    return [torch.from_numpy(weight) for weight in weights(scaled, size, 2 * overlap * up)]
