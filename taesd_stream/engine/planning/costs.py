"""Costs of a picture in tiles of one size, in time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from taesd_stream.engine.backends.graph_cuts import PaddedChain
from taesd_stream.engine.cores import WAITING_PER_THREAD, Cores
from taesd_stream.engine.planning.going_back import RecordedChain, planes_kept, sharing
from taesd_stream.engine.planning.moving import moved_by
from taesd_stream.engine.planning.resident import resident_bytes
from taesd_stream.engine.planning.shared_parts import shared_parts
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.canvas import Canvas
from taesd_stream.models.layers.passes import Counted, Pass, PassFigures
from taesd_stream.models.network import Network
from tiling import Effort, Grid, Moved, PassPlan, Size, View

__all__ = ["MOST_ELEMENTS", "CostModel", "TiledCost"]

# Nearest upsampling of tensors past 2**31 elements has returned wrong data in PyTorch.
MOST_ELEMENTS = 2**31 - 1
# On a CPU large activations cost more time each: they leave the caches, and the C library takes
# blocks of 32 MiB and more from the system each time, page by page. TAESD's decoder at 256x256
# latents, two cores with AVX-512 and 32 MiB of cache, float32, multiply-adds per second by what is
# held at once: up to 60 MiB 89 G, at 71 MiB 85 G, at 95 MiB 82 G, at 190 MiB 80 G. In multiply-adds
# that could be done meanwhile, for each element that a layer writes; nano's layers are narrow, and
# undivided it takes 1.21 times as long as in tiles at 128x128 latents, 1.28 times at 256x256.
_LARGE_FROM_BYTES = 40 << 20
_LARGEST_FROM_BYTES = 160 << 20
_LARGE_COSTS = 78
# What it takes to begin with a layer for a tile, in multiply-adds in float32 that could be done
# meanwhile; in 16 bits twice as many could.
_LAYER_COSTS = {"torch": 60_000_000, "openvino": 10_000_000, "onnxruntime": 10_000_000}
# What PyTorch's memory pool for CUDA graphs keeps for what is alive at once: also blocks that were
# cut for smaller layers and do not fit larger ones, of which each scale's are a quarter of the next
# one's. An estimate: no GPU was at hand to measure it.
_POOL_KEEPS = 1.5
_POOL_KEEPS_ALWAYS = 32 << 20
# Where cores share a tile, up to half of a layer is in the making, in pieces, beside the whole; and
# that is at most half of what is live.
_PIECES_SHARE = 4

# The multiply-adds that could be done while a byte is written to a scratch file, or read.
_SCRATCH_COSTS = 50

_ONE = Cores()
_NOT_MOVED = Moved()


@dataclass(frozen=True, slots=True)
class TiledCost:
    """A picture in tiles of one size, and what that costs.

    Attributes:
        passes: One plan per pass of the network.
        relative_seconds: Proportional to the time it will take, to choose between ways.
        effort: What it takes, to tell the time.
        cores: How they share the work.
        tiles_bytes: The state of all tiles, kept between time steps.
        tile_bytes: The state of the tile that keeps most.
        step_recorded_bytes: What recordings of all kinds of tiles hold for each step that is
            computed with others; 0 where none are made.
        kept_recorded_bytes: What they hold besides, however many these are.
        moved: What passes write and read of planes in scratch files.
        together: Frames that lie in every tile, where they are made in chunks.
    """

    passes: tuple[PassPlan, ...]
    relative_seconds: float
    effort: Effort
    cores: Cores
    tiles_bytes: int
    tile_bytes: int
    step_recorded_bytes: int = 0
    kept_recorded_bytes: int = 0
    moved: Moved = _NOT_MOVED
    together: int = 1

    def recorded_bytes(self, batch: int) -> int:
        """What recordings of all kinds of tiles hold, for so many steps; 0 where none are made."""
        return self.step_recorded_bytes * batch + self.kept_recorded_bytes

    @property
    def grid(self) -> Grid:
        """The tiles of the last and costliest pass."""
        return self.passes[-1].grid

    @property
    def work(self) -> int:
        return sum(each.work for each in self.passes)

    @property
    def peak_bytes(self) -> int:
        return self.together * max(each.peak_bytes for each in self.passes)

    @property
    def most_elements(self) -> int:
        return self.together * max(each.peak_elements for each in self.passes)


class CostModel:
    """Works out costs for one network, and remembers them.

    Args:
        network: The encoder or the decoder.
        settings: Where and how it computes.
        records: Whether tiles are recorded by their kinds, one after the other, as a GPU wants it.
        goes_back: Whether tiles are gone back through when they have been made.

    Attributes:
        is_ours_to_share: Whether tiles may be computed side by side, each by a thread of ours.
        continued: Whether each tile of a band goes on where the one to its left ended.
    """

    def __init__(
        self,
        network: Network,
        settings: Settings,
        *,
        records: bool = False,
        goes_back: bool = False,
    ) -> None:
        self._network = network
        self._settings = settings
        self._records = records
        is_on_cpu = settings.device.type == "cpu" and settings.backend == "torch"
        self.is_ours_to_share = is_on_cpu and not records
        # A GPU and OpenVINO want large tiles, and layers that remember earlier steps remember every
        # tile by itself.
        self.continued = self.is_ours_to_share and not network.stateful and not goes_back
        self._counted: dict[Pass, Counted] = {}
        if settings.backend != "torch":
            sectioned = settings.backend == "openvino"
            self._counted = {
                each: PaddedChain(each.body, sectioned=sectioned)
                for each in network.passes
                if each.body.layers
            }
        self._goes_back = goes_back
        if goes_back:
            size = settings.dtype.itemsize
            self._counted = {each: RecordedChain(each.body, size) for each in network.passes}
        self._remembered = lru_cache(maxsize=1024)(self._work_out)
        self._figures = lru_cache(maxsize=1024)(self._count)

    def __call__(
        self,
        plane: Size,
        tile: Size,
        view: View,
        cores: Cores = _ONE,
        *,
        at_once: int = 1,
        together: int = 1,
        through_scratch: bool = False,
    ) -> TiledCost:
        """An input ``plane`` in tiles of at most ``tile`` latents.

        Args:
            view: Which part of the output is made, and where planes go around.
            cores: How the cores share the work.
            at_once: How many pictures, or steps of a video, are at hand for them.
            together: How many frames lie in every tile.
            through_scratch: Whether what passes leave for each other lies in a temporary file.
        """
        ways = {"at_once": at_once, "together": together, "through_scratch": through_scratch}
        return self._remembered(plane, tile, view, cores, **ways)

    def _count(
        self, plane: Size, tile: Size, view: View, together: int
    ) -> list[tuple[Pass, Canvas, PassFigures]]:
        """The passes, what they are run over, and what that takes."""
        passes, counted = self._network.passes, self._counted
        canvases = self._network.canvases(plane, tile, view, continued=self.continued)
        return [
            (each, canvas, each.figures(canvas.plane, canvas.grid, counted.get(each), together))
            for each, canvas in zip(passes, canvases, strict=True)
        ]

    def _work_out(
        self,
        plane: Size,
        tile: Size,
        view: View,
        cores: Cores,
        *,
        at_once: int,
        together: int,
        through_scratch: bool,
    ) -> TiledCost:
        passes: list[PassPlan] = []
        seconds, effort = 0.0, Effort()
        most_live = buffers = states = 0
        moved = Moved()
        up, down = self._network.rate
        sizes = self._network.plane_sizes(plane)
        for (each, canvas, figures), use in zip(
            self._figures(plane, tile, view, together), self._network.uses, strict=True
        ):
            grid = canvas.grid
            peak = figures.live + figures.left
            if cores.inside > 1:
                peak += figures.live // _PIECES_SHARE
            made = grid.tile.area * grid.cell**2 * each.out_channels
            planes = 0 if through_scratch else sum(sizes[number] for number in use.held)
            if self._goes_back:
                planes = planes_kept(self._network, plane, through_scratch=through_scratch)
                made = figures.read
            peak_bytes = planes * self._settings.tensor_dtype.itemsize
            peak_bytes += cores.threads * resident_bytes(
                peak * self._item_bytes, self._network, self._settings
            )
            if cores.threads > 1:
                peak_bytes += self._waiting(grid, -(-made * up // down), cores)
            passes.append(PassPlan(grid, figures.work, peak, peak_bytes))
            stretches, pieces = shared_parts(self._network, self._settings, grid, at_once, cores)
            alone = self._relative_seconds(figures, len(each.body.layers), together)
            share = cores.share(stretches, pieces) * (sharing(cores) if self._goes_back else 1.0)
            seconds += alone * share
            effort += self._effort(figures, len(each.body.layers), together) * share
            most_live = max(most_live, figures.live)
            kinds = figures.kinds * (2 if figures.kept else 1)  # a video's first steps differ
            buffers += kinds * (figures.read + -(-made * up // down))
            states += kinds * 2 * figures.most_kept
            if through_scratch:
                moved += moved_by(self._network, each, figures, sizes, self._settings)
        return TiledCost(
            tuple(passes),
            seconds + moved.bytes * _SCRATCH_COSTS,
            effort + Effort(0, moved.bytes * _SCRATCH_COSTS),
            cores,
            tiles_bytes=figures.kept * self._kept_bytes,
            tile_bytes=figures.most_kept * self._kept_bytes,
            moved=moved,
            together=together,
            **self._recorded(most_live, buffers, states),
        )

    def _recorded(self, live: int, buffers: int, states: int) -> dict[str, int]:
        """Bytes of recordings, which compute in one memory and have their input and output each.

        Args:
            live: Elements that the costliest tile holds at once, for each step.
            buffers: Elements that all kinds of tiles read and make of a step.
            states: Elements that they keep, before and after.
        """
        if not self._records:
            return {}
        return {
            "step_recorded_bytes": int((live * _POOL_KEEPS + buffers) * self._item_bytes),
            "kept_recorded_bytes": states * self._item_bytes + _POOL_KEEPS_ALWAYS,
        }

    def _waiting(self, grid: Grid, made: int, cores: Cores) -> int:
        """Bytes of finished tiles that wait for their turn."""
        pieces = 1 if self._network.stateful else len(grid.columns)
        units = WAITING_PER_THREAD * cores.threads
        return units * pieces * made * self._settings.tensor_dtype.itemsize

    @property
    def _item_bytes(self) -> int:
        return self._settings.dtype.itemsize

    @property
    def _kept_bytes(self) -> int:
        """Of an element of a state, which has no 8 bits."""
        own = self._settings
        return (own.tensor_dtype if own.dtype == torch.int8 else own.dtype).itemsize

    def _relative_seconds(self, figures: PassFigures, layers: int, together: int) -> float:
        each = _LAYER_COSTS[self._settings.backend] * 4 // self._item_bytes
        begun = figures.tiles * layers * each / together
        return begun + figures.work + figures.written * self._slowdown(figures, together)

    def _effort(self, figures: PassFigures, layers: int, together: int) -> Effort:
        moved = figures.written * self._slowdown(figures, together)
        return Effort(figures.tiles * layers / together, figures.work + moved)

    def _slowdown(self, figures: PassFigures, together: int) -> float:
        """Extra cost of an element of large tensors over one of small ones, in multiply-adds."""
        if self._settings.device.type != "cpu" or self._settings.backend != "torch":
            return 0.0
        live_bytes = together * figures.live * self._item_bytes
        above = (live_bytes - _LARGE_FROM_BYTES) / (_LARGEST_FROM_BYTES - _LARGE_FROM_BYTES)
        return _LARGE_COSTS * min(max(above, 0.0), 1.0)
