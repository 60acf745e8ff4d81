"""Runs a network tile by tile: the only place where anything is computed.

A network is a list of passes. Each reads a plane tile by tile and writes the next; the last one's
tiles go to the caller as they are made. What a tile reads shrinks from layer to layer, and no tile
ever sees zeros where the picture goes on. A picture is a video without state.

In a sweep, a tile goes on where the one to its left ended: what layers have read at its right
border is carried on, so tiles can be as small as the caches and compute nothing twice there.

On a CPU, bands of tiles, or the tiles of a video, or the time steps of its only tile, are computed
side by side, each on one core.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from taesd_stream.engine.backends import Backend, EagerBackend
from taesd_stream.engine.budget import is_out_of_memory, release
from taesd_stream.engine.running.filling import Filled, Filling, Finish
from taesd_stream.engine.running.pass_planes import Sources
from taesd_stream.engine.running.planes import During, Plane, as_plane
from taesd_stream.engine.running.reading import TileReader
from taesd_stream.engine.running.row_crew import crew_of
from taesd_stream.engine.running.side_by_side import Stretch, shared_out
from taesd_stream.engine.running.stages import Stage, Stages
from taesd_stream.engine.running.state_storage import storage_on
from taesd_stream.engine.running.steps_abreast import abreast
from taesd_stream.engine.running.sweep import Sweep
from taesd_stream.engine.running.tile_making import TileMaking
from taesd_stream.engine.running.tile_states import TileStates
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import OutOfMemoryError
from taesd_stream.models.layers.tile_state import Known
from taesd_stream.models.network import Network
from tiling import Block, Interval, Size, TilePlan, chunks

__all__ = ["Estimate", "Executor"]

_log = logging.getLogger("taesd_stream")

T = TypeVar("T")
Estimate: TypeAlias = Callable[[Plane], Known]
"""Finds the norms of some pictures, without making all of these."""

OnPart: TypeAlias = Callable[[float], None]
"""Told how much more is done, in pictures."""


# The C library's heap fills with pieces too small to be used again, by some 10 MiB a minute. Before
# so many tiles it takes no time that counts to hand them back, and the pages be given anew.
_MANY_TILES = 48


class Executor:
    """One network and one plan, for any number of pictures of any size.

    What it learns when memory runs out, it keeps: later pictures start with the smaller tiles.

    Args:
        network: The encoder or the decoder, on its device.
        settings: Where and how it computes.
        plan: What is carried out, for the plane of the plan or, where tiles are blended, patches.
        backend: Who computes the layers; None is PyTorch.
        estimate: Finds what is to be known of pictures before any tile is made; None for nothing.
    """

    def __init__(
        self,
        network: Network,
        settings: Settings,
        plan: TilePlan,
        backend: Backend | None = None,
        estimate: Estimate | None = None,
    ) -> None:
        self._network, self._settings, self._plan = network, settings, plan
        self._backend = backend or EagerBackend()
        self._stages = Stages(network, settings, plan, self._backend)
        self._estimate = estimate
        self._reader = TileReader(settings, plan.view)
        self._filling = Filling(plan, settings, self._reader, self._tiles)
        self._tiles_made = 0
        self._may_be_abreast = True

    @property
    def scale(self) -> tuple[int, int]:
        """Output elements (first) per input elements (second)."""
        return self._network.scale

    def states(self, plane: Size, *, ends_at: int | None = None) -> TileStates | None:
        """The states of a video that begins, kept as planned; None for networks without state.

        Args:
            ends_at: The time steps of a video that is computed in one run, on the device.
        """
        if self._plan.state is None:
            return None
        device = self._settings.device
        seen = self._stages.canvases(plane)[0].plane
        kind = self._plan.state.storage if ends_at is None else "device"
        storage = storage_on(kind, device)
        return TileStates(self._network.passes[0], seen, storage, device, ends_at=ends_at)

    def bands(self, plane: Size) -> tuple[Interval, ...]:
        """The rows of the output that each band of tiles completes, from top to bottom."""
        canvas = self._stages.canvases(plane)[-1]
        rows = (rows.shift(-canvas.made_before.height) for rows in canvas.grid.bands)
        if self._plan.view.crop is None:
            return tuple(rows)
        y = self._plan.view.crop.y
        return tuple(each.overlap(y).shift(-y.start) for each in rows)

    def run(
        self,
        source: Tensor | Plane,
        states: TileStates | None = None,
        *,
        first_band: int = 0,
        on_part: OnPart | None = None,
    ) -> Iterator[tuple[Block, Tensor]]:
        """Compute (N, C, h, w), on any device, to tiles of (n, C', H, W).

        Tiles of pictures come in reading order, picture by picture. Those of videos come segment by
        segment, and in it as they are made, each tile in the order of time.

        Args:
            source: Pictures, or the time steps of one video in order.
            states: What tiles remember of the steps before; without it, a video begins and ends
                here.
            first_band: The first of ``bands`` to make.
            on_part: Told of the work of passes before the last one, tile by tile.

        Yields:
            Which output steps and which region, and a fresh tensor of them, on the computing device
            and in the computing dtype. Output steps count from the first that this run makes.

        Raises:
            OutOfMemoryError: Not even a tile of one latent fits.
        """
        plane = as_plane(source)
        if states is None:
            states = self.states(plane.size, ends_at=plane.frames)
        stages = self._stages.over(plane.size, states)
        began = states.at if states is not None else 0
        for steps in chunks(plane.frames, self._turn(plane.frames)):
            try:
                chunk = During(plane, steps)
                for block, tile in self._run_chunk(stages, chunk, first_band, on_part):
                    if tile.shape[0] == 0:  # a layer waits for more steps
                        continue
                    seen = began + steps.start + block.frames.start
                    made = self._made(seen) - self._made(began)
                    shown, (y, x) = stages[-1].canvas.shown(block.region, self._plan.view.crop)
                    yield Block(Interval(made, made + tile.shape[0]), shown), tile[:, :, y, x]
            except Exception as error:
                if is_out_of_memory(error) and not isinstance(error, OutOfMemoryError):
                    raise OutOfMemoryError(
                        f"memory ran out on {self._settings.device} although tiles were cut down as"
                        f" far as they go ({(str(error) or type(error).__name__).splitlines()[0]})"
                    ) from error
                raise
            if states is not None:
                states.at += steps.size

    def _turn(self, steps: int) -> int:
        """The steps, of so many that come, that go through all passes before the others."""
        return steps if self._network.takes_pictures_apart else self._plan.turn(steps)

    def _made(self, steps: int) -> int:
        """Output steps made of the first input steps of a video."""
        up, down = self._network.rate
        return steps * up // down

    def _run_chunk(
        self, stages: list[Stage], plane: Plane, first_band: int, on_part: OnPart | None
    ) -> Iterator[tuple[Block, Tensor]]:
        """All passes over a few steps, every one but the last into a plane of its own."""
        known = {} if self._estimate is None else self._estimate(plane)
        planes = self._filling.planes(plane, known)
        for number, stage in enumerate(stages[:-1], 1):
            for volume in self._filling.fill(planes, number, stage):
                if on_part is not None:
                    share = self._plan.passes[number - 1].work / self._plan.work
                    on_part(share * volume / stage.out.area)
        yield from self._tiles(stages[-1], planes.sources(stages[-1]), _as_it_is, first_band)

    def filled(self, source: Plane) -> Iterator[Filled]:
        """What every pass but the last makes of some pictures, for those who need all of it."""
        return self._filling.filled(source, self._stages.over(source.size, None))

    def openings(self, source: Plane) -> Known:
        """The norms that open passes, completed for some pictures."""
        return self._filling.openings(source, self._stages.over(source.size, None))

    def _tiles(
        self, stage: Stage, sources: Sources, finish: Finish[T], first_band: int = 0
    ) -> Iterator[tuple[Block, T]]:
        """The tiles of one pass, each finished by the thread that has made it."""
        make = TileMaking(stage, sources, finish, self._settings, self._reader)
        turns = self._turns(stage, sources, first_band)
        if stage.states is not None and len(turns) == 1 and self._plan.threads > 1:
            return self._steps(make, turns[0])
        stretches = list(self._stretches(make, turns))
        return shared_out(stretches, self._plan, ordered=stage.states is None)

    def _turns(self, stage: Stage, sources: Sources, first_band: int) -> list[list[Block]]:
        """The blocks of each turn: of a band of tiles, or of a tile of a video in all its steps."""
        grid = stage.canvas.grid
        batches = list(chunks(sources.plane.frames, self._plan.batch))
        made = stage.each.out_plane(stage.canvas.plane)
        tiles = [tile.clip(made) for tile in islice(grid, first_band * len(grid.columns), None)]
        if stage.states is not None:
            return [[Block(steps, region) for steps in batches] for region in tiles]
        bands = list(chunks(len(tiles), len(grid.columns)))
        return [
            [Block(steps, region) for region in tiles[band.start : band.stop]]
            for steps in batches
            for band in bands
        ]

    def _stretches(
        self, make: TileMaking[T], turns: list[list[Block]]
    ) -> Iterator[Stretch[tuple[Block, T]]]:
        """The work of one thread each."""
        work = partial(self._blocks, make, side_by_side=self._plan.threads)
        # Who takes over what is a matter of luck, and in 16 bits a tile that begins a sweep is
        # rounded otherwise than one that goes on from another.
        may_split = make.stage.states is None and self._settings.dtype == torch.float32
        for blocks in turns:
            if may_split:
                yield Stretch(blocks, work)
            else:
                yield Stretch([blocks], lambda turn: work(chain.from_iterable(turn)))

    def _blocks(
        self, make: TileMaking[T], blocks: Iterable[Block], *, side_by_side: int
    ) -> Iterator[tuple[Block, T]]:
        """Blocks one after the other, in a sweep where tiles go on from each other."""
        if self._tiles_made >= _MANY_TILES:
            self._tiles_made = 0
            release(self._settings.device)
        grid, states = make.stage.canvas.grid, make.stage.states
        sweep = Sweep() if grid.continued and len(grid.columns) > 1 else None
        with crew_of(self._plan, self._settings, side_by_side=side_by_side) as crew:
            for made in make.stage.backoff.run(blocks, partial(make, sweep=sweep, crew=crew)):
                self._tiles_made += grid.continued
                yield made
        if states is not None and len(grid) > 1:
            states.let_go()

    def _steps(self, make: TileMaking[T], blocks: list[Block]) -> Iterator[tuple[Block, T]]:
        """Time steps of the only tile, several of them at once as long as memory holds them."""
        done = 0
        if self._may_be_abreast:
            layers = tuple(self._network.stateful.values())
            try:
                for made in abreast(make, blocks, layers, self._plan):
                    done += 1
                    yield made
                    del made
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._may_be_abreast = False
            release(self._settings.device)
            _log.warning("memory ran out; going on with one time step after the other")
        yield from self._blocks(make, blocks[done:], side_by_side=1)


def _as_it_is(block: Block, tile: Tensor) -> Tensor:
    return tile
