"""The making of one tile of a pass: read, computed, and finished by the thread that made it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from taesd_stream.engine.cores import keeping_to
from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.running.filling import Finish
from taesd_stream.engine.running.pass_planes import Sources
from taesd_stream.engine.running.reading import TileReader
from taesd_stream.engine.running.row_crew import RowCrew
from taesd_stream.engine.running.stages import Stage
from taesd_stream.engine.running.sweep import Sweep
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.carry import Carry
from taesd_stream.models.layers.tile_state import Relay, TileState
from tiling import Block, Region

__all__ = ["TileMaking"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TileMaking(Generic[T]):
    """Makes the tiles of a pass, one after the other or side by side.

    Attributes:
        stage: The pass over its plane.
        sources: What it reads.
        finish: What is done with a tile that has been made.
        settings: Where and how it is computed.
        reader: Reads tiles of planes.
    """

    stage: Stage
    sources: Sources
    finish: Finish[T]
    settings: Settings
    reader: TileReader

    def __call__(self, block: Block, *, sweep: Sweep | None, crew: RowCrew | None) -> T:
        """Compute the output of a pass for one tile, and finish it.

        Args:
            block: Which steps, and which region of the output.
            sweep: What goes on from the tile to the left; None where nothing does.
            crew: Who makes pieces of its layers; None where this thread computes it alone.
        """
        states = self.stage.states
        at = states.at if states is not None else 0
        continued = sweep is not None and sweep.goes_on_with(block)
        turn: AbstractContextManager[Carry | None] = nullcontext()
        if sweep is not None:
            turn = sweep.making(block)
        on_one_core = nullcontext() if crew is None else keeping_to(1)
        with Computing(self.settings), on_one_core, turn as carry:
            state = TileState(
                states.recall(block.region, at + block.frames.start) if states else None,
                together=block.frames.size,
                carry=carry,
                makers=crew,
                known=self.sources.known,
                block=block,
            )
            made = self._made(block, state, continued=continued)
            if states is not None:
                states.keep(block.region, at + block.frames.stop, state.kept)
            return self.finish(block, made)

    def of_steps(self, block: Block, relay: Relay, crew: RowCrew) -> T:
        """The same of the steps of a video that others are under way with, in a thread of one core.

        Args:
            relay: Brings what layers keep from the steps before to those after.
        """
        state = TileState(
            together=block.frames.size,
            makers=crew,
            known=self.sources.known,
            block=block,
            relay=relay,
        )
        with Computing(self.settings):
            return self.finish(block, self._made(block, state))

    def _made(self, block: Block, state: TileState, *, continued: bool = False) -> Tensor:
        stage, sources = self.stage, self.sources
        rows, columns = stage.each.spans(block.region, stage.canvas.plane, continued=continued)
        given = Region(rows.given, columns.given)
        tile = self.reader.read(stage, sources.plane, Block(block.frames, given))
        if sources.opening is not None and columns.given.size:
            tile = sources.opening(tile, stage.canvas.read_place(Block(block.frames, given)))
        made = stage.kernel(tile, rows, columns, state)
        del tile
        if sources.adds is None:
            return made
        place = stage.canvas.true_place(block.region)
        return sources.adds.add_to(made, Block(block.frames, place))
