"""Fills the planes that passes leave for each other, and gathers their moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from torch import Tensor, nn

from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.running.pass_planes import InTurn, PassPlanes, Sources
from taesd_stream.engine.running.planes import Plane
from taesd_stream.engine.running.reading import TileReader
from taesd_stream.engine.running.stages import Stage
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.global_layer import Completed
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.moments import Moments, Share
from taesd_stream.models.layers.tile_state import Known
from tiling import Block, TilePlan

__all__ = ["Filled", "Filling", "Finish"]

T = TypeVar("T")
Finish: TypeAlias = Callable[[Block, Tensor], T]
"""What is done with a tile as soon as it has been made, by the thread that made it."""


class Filled(NamedTuple):
    """What a pass has made of some pictures.

    Attributes:
        plane: Its output.
        moments: Of the output, which others go by; None where nobody does.
    """

    plane: Plane
    moments: Moments | None


class MakesTiles(Protocol):
    """Makes all tiles of a pass."""

    def __call__(
        self, stage: Stage, sources: Sources, finish: Finish[T], /
    ) -> Iterator[tuple[Block, T]]: ...


class Filling:
    """Fills planes, pass by pass.

    Args:
        plan: Tells where planes lie.
        settings: Where and how is computed.
        reader: Reads tiles of planes.
        tiles: Makes them.
    """

    def __init__(
        self, plan: TilePlan, settings: Settings, reader: TileReader, tiles: MakesTiles
    ) -> None:
        self._plan, self._settings = plan, settings
        self._reader, self._tiles = reader, tiles

    def planes(self, source: Plane, known: Known | None = None) -> PassPlanes:
        """The planes of some pictures, of which none has been made yet."""
        return PassPlanes(InTurn(source), self._plan, self._settings, self._reader, known)

    def fill(self, planes: PassPlanes, number: int, stage: Stage) -> Iterator[int]:
        """Make the plane of a pass, gather its moments, and free what nobody reads any more.

        Args:
            planes: Where it is put.
            number: Of the pass, counted from 1.
            stage: The pass.

        Yields:
            The elements per channel of each tile, when it is done.
        """
        yield from self._fill(planes, number, stage)
        planes.free(stage.use.frees)

    def filled(self, source: Plane, stages: list[Stage]) -> Iterator[Filled]:
        """What every pass but the last makes of some pictures, all of which is kept."""
        planes = self.planes(source)
        for number, stage in enumerate(stages[:-1], 1):
            for _ in self._fill(planes, number, stage):
                pass
            yield Filled(planes.plane(number), planes.moments(number))

    def openings(self, source: Plane, stages: list[Stage]) -> Known:
        """The norms that open passes, completed for some pictures."""
        planes = self.planes(source)
        found: dict[nn.Module, Completed] = {}
        for number, stage in enumerate(stages, 1):
            opening = planes.sources(stage).opening
            if isinstance(stage.each.opening, GroupNorm) and opening is not None:
                found[stage.each.opening] = opening
            if number < len(stages):
                for _ in self.fill(planes, number, stage):
                    pass
        return found

    def _fill(self, planes: PassPlanes, number: int, stage: Stage) -> Iterator[int]:
        sources = planes.sources(stage)
        with Computing(self._settings):
            room = planes.room(number, stage)
        moments = planes.moments(number)
        if room is None and moments is None:
            return  # all who read it make it

        def put(block: Block, tile: Tensor) -> Share | None:
            if room is not None:
                room.write(Block(block.frames, stage.canvas.true_place(block.region)), tile)
            return None if moments is None else moments.share(tile)

        for block, share in self._tiles(stage, sources, put):
            if moments is not None and share is not None:
                with Computing(self._settings):
                    moments.take(block.frames, share)
            yield block.volume
