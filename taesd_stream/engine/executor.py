"""Runs a network tile by tile: the only place where anything is computed.

A network is a list of passes. Each reads a plane tile by tile and writes the next; the last one's
tiles go to the caller as they are made. What a tile reads shrinks from layer to layer, and no tile
ever sees zeros where the picture goes on. A picture is a video of which nothing is remembered.

A pass may have levels: its first layers, at low resolution, are cheap and their activations small,
so they run over large tiles, of which little is computed twice; the later, costly ones run over
smaller tiles inside those, so that what they make stays in cache.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from taesd_stream.engine.backends import Backend, EagerBackend, Kernel
from taesd_stream.engine.homes import HomeName, home_on
from taesd_stream.engine.memory import is_out_of_memory, release
from taesd_stream.engine.settings import Settings
from taesd_stream.engine.states import TileStates
from taesd_stream.errors import OutOfMemoryError
from taesd_stream.models.global_pool import Moments, NormalisedPool
from taesd_stream.models.memory import Memory
from taesd_stream.models.network import Network
from taesd_stream.models.passes import Level, Pass
from tiling import Backoff, Block, Grid, Interval, Region, Size

__all__ = ["Executor"]

_log = logging.getLogger("taesd_stream")


@dataclass(frozen=True, slots=True)
class _Step:
    """One level of a pass."""

    level: Level
    backoff: Backoff
    kernel: Kernel


@dataclass(frozen=True, slots=True)
class _Stage:
    """A pass over planes of one size, its tiles, and what they remember."""

    each: Pass
    plane: Size
    grid: Grid
    steps: tuple[_Step, ...]
    states: TileStates | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """What tiles are cut out of: a tensor, and which block of its plane it is."""

    tensor: Tensor
    covers: Block

    def part(self, frames: Interval, region: Region) -> Tensor:
        """A block of the plane, (n, C, h, w), as a view."""
        y, x = region.within(self.covers.region)
        return self.tensor[frames.within(self.covers.frames), :, y, x]


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
        inner: The largest tiles, in latents, of the last pass's inner levels, outermost first.
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
        inner: tuple[Size, ...] = (),
        backend: Backend | None = None,
    ) -> None:
        self._network = network
        self._settings = settings
        self._tile = tile
        self._inner = inner
        self._batch = batch
        self._segment = segment
        self._backend = backend or EagerBackend()
        self._backoffs: dict[tuple[int, int, int], Backoff] = {}
        self._kernels: dict[tuple[int, int, Size], Kernel] = {}

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
        grids = self._network.grids(plane, self._tile, self._inner)
        for index, (each, grid) in enumerate(zip(self._network.passes, grids, strict=True)):
            levels = each.levels(1 + len(grid.inner))
            steps = tuple(
                _Step(
                    level,
                    self._backoff(index, number, grid.cell),
                    self._kernel((index, number, plane), level, grid),
                )
                for number, level in enumerate(levels)
            )
            stages.append(_Stage(each, plane, grid, steps, states))
            plane = each.out_plane(plane)
        return stages

    def _backoff(self, index: int, number: int, cell: int) -> Backoff:
        return self._backoffs.setdefault(
            (index, number, cell),
            Backoff(cell=cell, is_out_of_memory=is_out_of_memory, on_shrink=self._on_shrink),
        )

    def _kernel(self, key: tuple[int, int, Size], level: Level, grid: Grid) -> Kernel:
        if key not in self._kernels:
            _, number, plane = key
            rows, columns = grid.pieces(number)
            down = (self._evened(grid, Region(y, columns[0]), number).y for y in rows)
            across = (self._evened(grid, Region(rows[0], x), number).x for x in columns)
            self._kernels[key] = self._backend.kernel(
                level,
                (level.span(y.scale(grid.cell), plane.height) for y in down),
                (level.span(x.scale(grid.cell), plane.width) for x in across),
            )
        return self._kernels[key]

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
        whole = Block(Interval(0, plane.shape[0]), Region.whole(stage.plane))
        return self._nested(stage, 0, blocks, _Source(plane, whole), pool)

    def _nested(
        self,
        stage: _Stage,
        number: int,
        blocks: Iterable[Block],
        source: _Source,
        pool: NormalisedPool | None,
    ) -> Iterator[tuple[Block, Tensor]]:
        """The innermost tiles of blocks of a level, each outer tile's before the next one's."""
        step = stage.steps[number]
        made_tiles = step.backoff.run(
            blocks, lambda block: self._tile_of(stage, number, block, source, pool)
        )
        if number + 1 == len(stage.steps):
            yield from made_tiles
            return
        for block, made in made_tiles:
            rows, columns = step.level.spans(block.region, stage.plane)
            covers = Block(block.frames, Region(rows.want, columns.want))
            inside = stage.grid.inside(block.region, number + 1)
            inner = (Block(block.frames, region) for region in inside)
            yield from self._nested(stage, number + 1, inner, _Source(made, covers), None)
            del made  # else it would be held while the next one is made

    def _tile_of(
        self,
        stage: _Stage,
        number: int,
        block: Block,
        source: _Source,
        pool: NormalisedPool | None,
    ) -> Tensor:
        """What one level makes for one tile."""
        step = stage.steps[number]
        cell = stage.grid.cell
        region = self._evened(stage.grid, block.region.divide(cell), number).scale(cell)
        rows, columns = step.level.spans(region, stage.plane)
        states = stage.states
        at = states.at if states is not None else 0
        with torch.inference_mode(), _full_float32(self._settings):
            before = states.recall(block.region, at + block.frames.start) if states else None
            memory = Memory(before, together=block.frames.size)
            tile = source.part(block.frames, Region(rows.have, columns.have)).to(
                self._settings.device,
                self._settings.tensor_dtype,
                memory_format=torch.channels_last,
            )
            if pool is not None:
                tile = pool(tile, block.frames)
            made = step.kernel(tile, rows, columns, memory)
            if states is not None:
                states.keep(block.region, at + block.frames.stop, memory.kept)
            if region != block.region:
                y, x = block.region.within(region)
                made = made[:, :, y, x]
        return made

    def _evened(self, grid: Grid, cells: Region, number: int) -> Region:
        """A tile, in cells, made as large as the others, where the backend gains by that."""
        return grid.evened(cells) if self._backend.evens_tiles and not number else cells

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
