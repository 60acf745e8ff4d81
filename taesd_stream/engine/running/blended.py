"""Patches of a smaller overlap than exactness needs, cross-faded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.planes import Plane
from taesd_stream.engine.running.tile_states import TileStates
from tiling import Block, Interval, Region, Size, TilePlan, weights

__all__ = ["Patch", "blended_tiles", "patches_of"]


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
        Where a part belongs, and the part, weighted, in float32 at least.
    """
    patches = patches_of(plan, executor.scale, source.size, made)
    for patch, kept in zip(patches, states, strict=True):
        numbers = source.read(Block(Interval(0, source.frames), patch.read))
        for block, tile in executor.run(numbers, kept):
            place = block.region.shift(patch.made.y.start, patch.made.x.start)
            weight = patch.weight(block.region, tile.device)
            precise = torch.promote_types(tile.dtype, torch.float32)
            yield Block(block.frames, place), tile.to(precise) * weight


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of a picture that is computed as a picture of its own.

    Attributes:
        read: Where it lies in the input.
        made: Where it lies in the output.
        high: The weight of each of its rows.
        wide: The weight of each of its columns.
    """

    read: Region
    made: Region
    high: Tensor
    wide: Tensor

    def weight(self, region: Region, device: torch.device) -> Tensor:
        """(h, w), the weights of a part of its output."""
        y, x = slice(region.y.start, region.y.stop), slice(region.x.start, region.x.stop)
        return torch.outer(self.high[y], self.wide[x]).to(device)


def patches_of(plan: TilePlan, scale: tuple[int, int], plane: Size, made: Size) -> Iterator[Patch]:
    """The patches of a plan whose overlap is a number, in reading order.

    Args:
        scale: Output elements (first) per input elements (second).
        plane: Height and width of the input.
        made: Height and width of the output.
    """
    rows, columns = plan.patches
    up, down = scale
    high = _weights(rows, made.height, up, int(plan.overlap))
    wide = _weights(columns, made.width, up, int(plan.overlap))
    for row, of_row in zip(rows, high, strict=True):
        for column, of_column in zip(columns, wide, strict=True):
            there = Region(row, column)
            yield Patch(
                there.scale(down).clip(plane), there.scale(up).clip(made), of_row, of_column
            )


def _weights(patches: tuple[Interval, ...], size: int, up: int, overlap: int) -> list[Tensor]:
    scaled = [patch.scale(up) for patch in patches]
    return [torch.from_numpy(weight) for weight in weights(scaled, size, 2 * overlap * up)]
