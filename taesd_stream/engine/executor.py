"""Runs a network tile by tile: the only place where anything is computed.

A network is a list of passes. Each reads a plane tile by tile and writes the next; the last one's
tiles go to the caller as they are made. What a tile reads shrinks from layer to layer, and no tile
ever sees zeros where the picture goes on. A picture is a video of which nothing is remembered.

Along a row, tiles may go on where the one before ended: what layers have read at its right border
is kept for the next, so tiles can be as small as the caches and compute nothing twice there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from taesd_stream.engine.backends import Backend, EagerBackend, Kernel
from taesd_stream.engine.homes import HomeName, home_on
from taesd_stream.engine.memory import is_out_of_memory, release
from taesd_stream.engine.row import Row
from taesd_stream.engine.settings import Settings
from taesd_stream.engine.states import TileStates
from taesd_stream.errors import OutOfMemoryError
from taesd_stream.models.global_pool import Moments, NormalisedPool
from taesd_stream.models.layers import Span
from taesd_stream.models.memory import Memory
from taesd_stream.models.network import Network
from taesd_stream.models.passes import Pass
from tiling import Backoff, Block, Cover, Grid, Interval, Region, Size

__all__ = ["Executor"]

_log = logging.getLogger("taesd_stream")

# The C library's heap fills with pieces too small to be used again, by some 10 MiB a minute. Before
# so many tiles it takes no time that counts to hand them back, and the pages be given anew.
_LONG_ROW = 48


@dataclass(frozen=True, slots=True)
class _Stage:
    """A pass over planes of one size, its tiles, and what they remember."""

    each: Pass
    plane: Size
    grid: Grid
    backoff: Backoff
    kernel: Kernel
    states: TileStates | None = None


class Executor:
    """One network and one size of tile, for any number of pictures of any size.

    What it learns when memory runs out, it keeps: later pictures start with the smaller tiles.

    Args:
        network: The encoder or the decoder, on its device.
        settings: Where and how it computes.
        tile: The largest tile, in latents.
        batch: Pictures or time steps computed together.
        segment: Time steps that each tile goes through before the next tile has its turn; None is
            all there are.
        continued: Whether each tile of a row goes on where the one to its left ended; not for
            networks that remember earlier time steps, which remember every tile by itself.
        backend: Who computes the layers.
    """

    def __init__(
        self,
        network: Network,
        settings: Settings,
        tile: Size,
        batch: int = 1,
        segment: int | None = None,
        *,
        continued: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self._network = network
        self._settings = settings
        self._tile = tile
        self._continued = continued
        self._batch = batch
        self._segment = segment
        self._backend = backend or EagerBackend()
        self._backoffs: dict[tuple[int, int], Backoff] = {}
        self._kernels: dict[tuple[int, Size], Kernel] = {}

    @property
    def scale(self) -> tuple[int, int]:
        """Output elements (first) per input elements (second)."""
        return self._network.scale

    def states(self, plane: Size, home: HomeName = "device") -> TileStates | None:
        """What tiles remember of a video that begins; None for networks that remember nothing."""
        if not self._network.memories:
            return None
        device = self._settings.device
        return TileStates(self._network.passes[0], plane, home_on(home, device), device)

    def run(
        self, source: Tensor, states: TileStates | None = None
    ) -> Iterator[tuple[Block, Tensor]]:
        """Compute (N, C, h, w), on any device, to tiles of (n, C', H, W).

        Tiles come in reading order, segment by segment, each in the order of time.

        Args:
            source: Pictures, or the time steps of one video in order.
            states: What tiles remember of the steps before; without it, a video begins and ends
                here.

        Yields:
            Which output steps and which region, and a fresh tensor of them, on the computing device
            and in the computing dtype. Output steps count from the first that this run makes.

        Raises:
            OutOfMemoryError: Not even a tile of one latent fits.
        """
        plane = Size(*source.shape[2:])
        if states is None and self._network.memories:
            states = self._once(plane, source.shape[0])
        stages = self._stages(plane, states)
        began = states.at if states is not None else 0
        for steps in _chunks(source.shape[0], self._turn(source.shape[0])):
            try:
                for block, tile in self._run_chunk(stages, source[steps.start : steps.stop]):
                    if tile.shape[0] == 0:  # a layer waits for more steps
                        continue
                    there = block.frames.shift(began + steps.start)
                    made = self._made(there.start) - self._made(began)
                    yield Block(Interval(made, made + tile.shape[0]), block.region), tile
            except Exception as error:
                if is_out_of_memory(error) and not isinstance(error, OutOfMemoryError):
                    raise OutOfMemoryError(
                        f"memory ran out on {self._settings.device} although tiles were cut down as"
                        f" far as they go ({(str(error) or type(error).__name__).splitlines()[0]})"
                    ) from error
                raise
            if states is not None:
                states.at += steps.size

    def read_by_last_pass(self, source: Tensor) -> Tensor:
        """What the last pass reads of pictures, (N, C, h, w), its global branch included."""
        stages = self._stages(Size(*source.shape[2:]), None)
        plane, pool = self._filled(stages, source)
        with torch.inference_mode():
            return plane if pool is None else pool(plane, Interval(0, plane.shape[0]))

    def _once(self, plane: Size, steps: int) -> TileStates:
        """What tiles remember of a video that is computed in one run."""
        home = home_on("device", self._settings.device)
        return TileStates(self._network.passes[0], plane, home, ends_at=steps)

    def _turn(self, steps: int) -> int:
        """Steps after which the next tile has its turn."""
        if not self._network.memories:
            return self._batch
        return steps if self._segment is None else self._segment

    def _made(self, steps: int) -> int:
        """Output steps made of the first input steps of a video."""
        up, down = self._network.rate
        return steps * up // down

    def _stages(self, plane: Size, states: TileStates | None) -> list[_Stage]:
        stages = []
        grids = self._network.grids(plane, self._tile, continued=self._continued)
        for index, (each, grid) in enumerate(zip(self._network.passes, grids, strict=True)):
            backoff = self._backoff(index, grid.cell)
            kernel = self._kernel(index, each, plane, grid)
            stages.append(_Stage(each, plane, grid, backoff, kernel, states))
            plane = each.out_plane(plane)
        return stages

    def _backoff(self, index: int, cell: int) -> Backoff:
        return self._backoffs.setdefault(
            (index, cell),
            Backoff(cell=cell, is_out_of_memory=is_out_of_memory, on_shrink=self._on_shrink),
        )

    def _kernel(self, index: int, each: Pass, plane: Size, grid: Grid) -> Kernel:
        if (index, plane) not in self._kernels:
            self._kernels[index, plane] = self._backend.kernel(
                each,
                self._tasks(each, grid.rows, grid.cell, plane.height),
                self._tasks(each, grid.columns, grid.cell, plane.width),
            )
        return self._kernels[index, plane]

    def _tasks(self, each: Pass, pieces: Cover, cell: int, size: int) -> Iterator[Span]:
        """What tiles ask for along an axis."""
        for piece in pieces:
            evened = pieces.evened(piece) if self._backend.evens_tiles else piece
            yield each.body.span(evened.scale(cell), size)

    def _run_chunk(self, stages: list[_Stage], plane: Tensor) -> Iterator[tuple[Block, Tensor]]:
        """All passes over a few steps, every one but the last into a plane in memory."""
        plane, pool = self._filled(stages, plane)
        yield from self._tiles(stages[-1], plane, pool)

    def _filled(self, stages: list[_Stage], plane: Tensor) -> tuple[Tensor, NormalisedPool | None]:
        """What all passes but the last make, and the branch that opens the last."""
        pool: NormalisedPool | None = None
        for stage, after in pairwise(stages):
            plane, moments = self._fill(stage, plane, pool)
            with torch.inference_mode():
                pool = after.each.pool.normalise(moments) if after.each.pool else None
        return plane, pool

    def _fill(
        self, stage: _Stage, plane: Tensor, pool: NormalisedPool | None
    ) -> tuple[Tensor, Moments]:
        """The plane that a pass makes, and the moments of its channels."""
        size = stage.each.out_plane(stage.plane)
        frames, channels = plane.shape[0], stage.each.out_channels
        device = self._settings.device
        with torch.inference_mode():
            filled = torch.empty(
                (frames, channels, size.height, size.width),
                dtype=self._settings.tensor_dtype,
                device=device,
                memory_format=torch.channels_last,
            )
            moments = Moments(frames, channels, size.area, device)
            for block, tile in self._tiles(stage, plane, pool):
                _part(filled, block).copy_(tile)
                moments.add(block.frames, tile)
                del tile  # else it would be held while the next one is made
        return filled, moments

    def _tiles(
        self, stage: _Stage, plane: Tensor, pool: NormalisedPool | None
    ) -> Iterator[tuple[Block, Tensor]]:
        """The tiles of one pass."""
        batches = list(_chunks(plane.shape[0], self._batch))
        blocks = (Block(steps, region) for region in stage.grid for steps in batches)
        row = Row() if stage.grid.continued else None
        return stage.backoff.run(
            blocks, lambda block: self._tile_of(stage, block, plane, pool, row)
        )

    def _tile_of(
        self,
        stage: _Stage,
        block: Block,
        plane: Tensor,
        pool: NormalisedPool | None,
        row: Row | None,
    ) -> Tensor:
        """What a pass makes for one tile."""
        region = block.region
        if self._backend.evens_tiles:
            region = stage.grid.evened(region.divide(stage.grid.cell)).scale(stage.grid.cell)
        continued = row is not None and row.goes_on_with(block)
        if row is not None and not continued and len(stage.grid.columns) >= _LONG_ROW:
            release(self._settings.device)
        rows, columns = stage.each.spans(region, stage.plane, continued=continued)
        states = stage.states
        at = states.at if states is not None else 0
        with (
            torch.inference_mode(),
            _full_float32(self._settings),
            row.making(block) if row is not None else nullcontext() as carry,
        ):
            before = states.recall(block.region, at + block.frames.start) if states else None
            memory = Memory(before, together=block.frames.size, carry=carry)
            tile = _part(plane, Block(block.frames, Region(rows.given, columns.given))).to(
                self._settings.device,
                self._settings.tensor_dtype,
                memory_format=torch.channels_last,
            )
            if pool is not None and columns.given.size:
                tile = pool(tile, block.frames)
            made = stage.kernel(tile, rows, columns, memory)
            if states is not None:
                states.keep(block.region, at + block.frames.stop, memory.kept)
            if region != block.region:
                y, x = block.region.within(region)
                made = made[:, :, y, x]
        return made

    def _on_shrink(self, block: Block, left: int) -> None:
        release(self._settings.device)
        _log.warning(
            "memory ran out at a tile of %s elements; going on with smaller tiles, %d left here",
            block.region.shape,
            left,
        )


def _full_float32(settings: Settings) -> AbstractContextManager[None]:
    """No TF32 where float32 was asked for: its 10 bits of mantissa are not float32's 23."""
    if settings.device.type != "cuda" or settings.dtype != torch.float32:
        return nullcontext()
    benchmark = torch.backends.cudnn.benchmark
    context: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=benchmark, allow_tf32=False
    )
    return context


def _chunks(count: int, most: int) -> Iterator[Interval]:
    bounds = [*range(0, count, most), count]
    return (Interval(start, stop) for start, stop in pairwise(bounds))


def _part(plane: Tensor, block: Block) -> Tensor:
    """The block of a plane, as a view."""
    frames, y, x = block.slices
    return plane[frames, :, y, x]
