"""A picture cut into tiles of one size: what that costs in time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from taesd_stream.engine.settings import Settings
from taesd_stream.models.network import Network
from taesd_stream.models.passes import LevelFigures
from tiling import Grid, PassPlan, Size

__all__ = ["MOST_ELEMENTS", "Cut", "Cutter"]

# Nearest upsampling of tensors past 2**31 elements has returned wrong data in PyTorch.
MOST_ELEMENTS = 2**31 - 1
# On a CPU large activations cost more time each: they leave the caches, and the C library takes
# blocks of 32 MiB and more from the system each time, page by page. TAESD's decoder at 128x128
# latents, two cores with AVX-512, float32, multiply-adds per second by what is held at once: up to
# 48 MiB 92 G, at 66 MiB 85 G, at 190 MiB 80 G, at 768 MiB 78 G.
_LARGE_FROM_BYTES = 24 << 20
_LARGEST_FROM_BYTES = 256 << 20
_LARGE_COSTS = 0.2
# What it takes to begin with a layer for a tile, in multiply-adds that could be done meanwhile.
_LAYER_COSTS = 10_000_000
# The C library keeps freed blocks of less than 32 MiB for reuse, in pieces that do not fit each
# other. Resident memory was measured above what tensors held: at small tiles by 3.6 times that, at
# larger ones by 105 MiB and 1.2 times that, never by more than 300 MiB.
_HEAP_KEEPS_SMALL = 3.6
_HEAP_KEEPS_ALWAYS = 105 << 20
_HEAP_KEEPS_LARGE = 1.2
_HEAP_KEEPS_AT_MOST = 300 << 20
# OpenVINO gives activations one block, which the kinds of tiles share, and every kind its weights
# in the order that its kernels like. TAESD's decoder in float32: 52 MiB for one kind, 107 for four,
# 250 for nine.
_OPENVINO_KEEPS_ALWAYS = 36 << 20
_OPENVINO_KEEPS_OF_A_KIND = 22 << 20


@dataclass(frozen=True, slots=True)
class Cut:
    """A picture cut into tiles of one size.

    Attributes:
        passes: One plan per pass of the network.
        relative_seconds: Proportional to the time it will take.
        tiles_bytes: What all tiles remember between time steps.
        tile_bytes: What the tile that remembers most does.
    """

    passes: tuple[PassPlan, ...]
    relative_seconds: float
    tiles_bytes: int
    tile_bytes: int

    @property
    def grid(self) -> Grid:
        """The tiles of the last and costliest pass."""
        return self.passes[-1].grid

    @property
    def work(self) -> int:
        return sum(each.work for each in self.passes)

    @property
    def peak_bytes(self) -> int:
        return max(each.peak_bytes for each in self.passes)

    @property
    def most_elements(self) -> int:
        return max(each.peak_elements for each in self.passes)


class Cutter:
    """Works out cuts for one network, and remembers them.

    Args:
        network: The encoder or the decoder.
        settings: Where and how it computes.
    """

    def __init__(self, network: Network, settings: Settings) -> None:
        self._network = network
        self._settings = settings
        self._cut = lru_cache(maxsize=1024)(self._work_out)

    def __call__(self, plane: Size, tile: Size, inner: tuple[Size, ...] = ()) -> Cut:
        """An input ``plane`` in tiles of at most ``tile`` latents, and ``inner`` ones in them."""
        return self._cut(plane, tile, inner)

    def _work_out(self, plane: Size, tile: Size, inner: tuple[Size, ...]) -> Cut:
        passes: list[PassPlan] = []
        seconds = 0.0
        held = all_kept = most_kept = 0
        grids = self._network.grids(plane, tile, inner)
        for each, grid in zip(self._network.passes, grids, strict=True):
            out = each.out_plane(plane)
            figures = each.figures(plane, grid)
            all_kept, most_kept = each.kept(plane, grid)
            kept = 0 if each is self._network.passes[-1] else out.area * each.out_channels
            peak = max(level.held + level.live for level in figures)
            peak_bytes = (held + kept) * self._settings.tensor_dtype.itemsize
            peak_bytes += self._resident(peak * self._item_bytes, sum(f.kinds for f in figures))
            work = sum(level.work for level in figures)
            passes.append(PassPlan(grid, work, peak, peak_bytes))
            seconds += sum(self._relative_seconds(level) for level in figures)
            plane, held = out, kept
        return Cut(
            tuple(passes),
            seconds,
            tiles_bytes=all_kept * self._item_bytes,
            tile_bytes=most_kept * self._item_bytes,
        )

    @property
    def _item_bytes(self) -> int:
        return self._settings.dtype.itemsize

    def _relative_seconds(self, level: LevelFigures) -> float:
        begun = level.tiles * level.layers * _LAYER_COSTS
        return begun + level.work * (1 + self._slowdown(level.live * self._item_bytes))

    def _slowdown(self, live_bytes: int) -> float:
        """The share of time that tensors of this size cost more than small ones."""
        if self._settings.device.type != "cpu" or self._settings.backend != "torch":
            return 0.0
        above = (live_bytes - _LARGE_FROM_BYTES) / (_LARGEST_FROM_BYTES - _LARGE_FROM_BYTES)
        return _LARGE_COSTS * min(max(above, 0.0), 1.0)

    def _resident(self, live_bytes: int, kinds: int) -> int:
        """Memory that a tile's tensors occupy, with what the allocator keeps besides."""
        if self._settings.device.type != "cpu":
            return live_bytes
        if self._settings.backend == "openvino":
            return live_bytes + _OPENVINO_KEEPS_ALWAYS + kinds * _OPENVINO_KEEPS_OF_A_KIND
        kept = min(
            live_bytes * _HEAP_KEEPS_SMALL,
            live_bytes * _HEAP_KEEPS_LARGE + _HEAP_KEEPS_ALWAYS,
            _HEAP_KEEPS_AT_MOST,
        )
        return live_bytes + int(kept)
