"""From a picture's size and a budget to a plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypedDict

from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.network import Network
from tiling import Interval, PassPlan, Size, TilePlan, choose_tile, crops, format_bytes

__all__ = ["Budget", "Overlap", "Planner", "Tile", "TileOptions"]

# Nearest upsampling of tensors past 2**31 elements has returned wrong data in PyTorch.
_MOST_ELEMENTS = 2**31 - 1
# On a CPU large activations cost more time each: nothing up to 96 MiB, rising to about 30% at
# 480 MiB and staying there. TAESD in float32 on two cores with AVX-512: the undivided decode took
# 0.95 times as long as tiles of 32 latents at 64x64, 1.25 times at 128x128.
_LARGE_FROM_BYTES = 96 << 20
_LARGEST_FROM_BYTES = 480 << 20
_LARGE_COSTS = 0.3
# A tile that takes a few percent longer by this estimate, and less memory, is the better one.
_PATIENCE = 0.05
# The C library keeps freed blocks of less than 32 MiB for reuse, in pieces that do not fit each
# other. Resident memory was measured above what tensors held: at small tiles by 3.6 times that, at
# larger ones by 105 MiB and 1.2 times that, never by more than 300 MiB.
_HEAP_KEEPS_SMALL = 3.6
_HEAP_KEEPS_ALWAYS = 105 << 20
_HEAP_KEEPS_LARGE = 1.2
_HEAP_KEEPS_AT_MOST = 300 << 20
_TILES = (8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_TINY_TILES = (1, 2, 3, 4, 6)
_MOST_FRAMES = 16

Overlap = int | Literal["exact"]
Tile = int | tuple[int, int] | None | Literal["auto"]


class TileOptions(TypedDict):
    """The keywords that decode, encode, stream and plan have in common."""

    tile: Tile
    overlap: Overlap
    memory: int | str


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory to stay under.

    Attributes:
        bytes: How much.
        is_firm: Whether the caller named it. A tile that the caller named may exceed a budget that
            was only read off the machine, never one that was asked for.
    """

    bytes: int
    is_firm: bool

    def __str__(self) -> str:
        return f"{format_bytes(self.bytes)} {'asked for' if self.is_firm else 'to be had'}"


@dataclass(frozen=True, slots=True)
class _Cut:
    """A picture cut into tiles of one size.

    Attributes:
        passes: One plan per pass of the network.
        relative_seconds: Proportional to the time it will take.
    """

    passes: tuple[PassPlan, ...]
    relative_seconds: float

    @property
    def tile(self) -> Size:
        return self.passes[-1].grid.tile

    @property
    def work(self) -> int:
        return sum(each.work for each in self.passes)

    @property
    def peak_bytes(self) -> int:
        return max(each.peak_bytes for each in self.passes)

    @property
    def most_elements(self) -> int:
        return max(each.peak_elements for each in self.passes)


class Planner:
    """Makes plans for one network; what it has worked out for a size, it remembers.

    Args:
        model: The model's name.
        network: The encoder or the decoder.
        settings: Where and how it computes.
    """

    def __init__(self, model: str, network: Network, settings: Settings) -> None:
        self._model = model
        self._network = network
        self._settings = settings
        self._cut = lru_cache(maxsize=1024)(self._work_out)

    def plan(
        self, plane: Size, frames: int | None, tile: Tile, overlap: Overlap, budget: Budget
    ) -> TilePlan:
        """The plan for pictures whose input plane is ``plane``.

        Args:
            frames: How many pictures; None if unknown.
            tile: "auto", None (undivided), or latents per side of a tile.
            overlap: "exact", or latents of blended overlap on each side of a tile.

        Raises:
            InputError: ``tile`` or ``overlap`` makes no sense, or nothing fits the budget.
        """
        _, down = self._network.scale
        made = self._network.out_plane(plane)
        latents = self._network.latent_plane(plane)
        checked = _checked_tile(tile, latents)
        overlap = self._checked_overlap(overlap)
        rows: tuple[Interval, ...] = (Interval(0, latents.height),)
        columns: tuple[Interval, ...] = (Interval(0, latents.width),)
        if overlap == "exact":
            cut = self._choose(plane, checked, budget)
            work = cut.work
        else:
            core = _square(max(64, 4 * overlap), latents) if checked == "auto" else checked
            rows = crops(latents.height, core.height, overlap)
            columns = crops(latents.width, core.width, overlap)
            cut, work = self._choose_for_crops(plane, rows, columns, budget)
        return TilePlan(
            model=self._model,
            action="decode" if down == 1 else "encode",
            frames=frames,
            latents=latents,
            pixels=made if down == 1 else plane,
            overlap=overlap,
            crops=(rows, columns),
            batch=self._batch(cut, frames, budget) if overlap == "exact" else 1,
            passes=cut.passes,
            work=work,
            undivided_work=self._cut(plane, latents).work,
            budget_bytes=budget.bytes,
            where=str(self._settings),
        )

    def _work_out(self, plane: Size, tile: Size) -> _Cut:
        """The passes over ``plane`` in tiles of at most ``tile`` latents."""
        item_bytes = self._settings.dtype.itemsize
        passes: list[PassPlan] = []
        held = 0
        for each, grid in zip(self._network.passes, self._network.grids(plane, tile), strict=True):
            out = each.out_plane(plane)
            peak = each.peak(plane, grid)
            kept = 0 if each is self._network.passes[-1] else out.area * each.out_channels
            peak_bytes = (held + kept) * item_bytes + self._resident(peak * item_bytes)
            passes.append(PassPlan(grid, each.work(plane, grid), peak, peak_bytes))
            plane, held = out, kept
        live_bytes = max(each.peak_elements for each in passes) * item_bytes
        work = sum(each.work for each in passes)
        return _Cut(tuple(passes), work * (1 + self._slowdown(live_bytes)))

    def _slowdown(self, live_bytes: int) -> float:
        """The share of time that tensors of this size cost more than small ones."""
        if self._settings.device.type != "cpu":
            return 0.0
        above = (live_bytes - _LARGE_FROM_BYTES) / (_LARGEST_FROM_BYTES - _LARGE_FROM_BYTES)
        return _LARGE_COSTS * min(max(above, 0.0), 1.0)

    def _resident(self, live_bytes: int) -> int:
        """Memory that a tile's tensors occupy, with what the allocator keeps besides."""
        if self._settings.device.type != "cpu":
            return live_bytes
        kept = min(
            live_bytes * _HEAP_KEEPS_SMALL,
            live_bytes * _HEAP_KEEPS_LARGE + _HEAP_KEEPS_ALWAYS,
            _HEAP_KEEPS_AT_MOST,
        )
        return live_bytes + int(kept)

    def _choose(self, plane: Size, tile: Size | Literal["auto"], budget: Budget) -> _Cut:
        """The cut asked for, checked, or else the quickest that fits."""
        if tile == "auto":
            cut = self._quickest(plane, _TILES, budget) or self._quickest(
                plane, _TINY_TILES, budget
            )
            if cut is None:
                least = self._cut(plane, Size(1, 1)).peak_bytes
                raise InputError(
                    f"memory: {self._model} needs at least {format_bytes(least)} for a picture of"
                    f" this size, more than the {budget}; give it more"
                )
            return cut
        cut = self._cut(plane, tile)
        if budget.is_firm and cut.peak_bytes > budget.bytes:
            raise InputError(
                f"memory: a tile of {tile} latents needs about {format_bytes(cut.peak_bytes)}, more"
                f" than the {budget}; give a smaller tile, or leave it to be chosen"
            )
        if cut.most_elements > _MOST_ELEMENTS:
            raise InputError(
                f"tile: {tile} latents need {cut.most_elements:,} elements at once, more than the"
                f" {_MOST_ELEMENTS:,} that PyTorch upsamples correctly; give a smaller tile"
            )
        return cut

    def _quickest(self, plane: Size, sides: tuple[int, ...], budget: Budget) -> _Cut | None:
        """The quickest cut into squares of one of these sides, or none, that fits the budget."""
        latents = self._network.latent_plane(plane)
        longest = max(latents.height, latents.width)
        tiles = [_square(side, latents) for side in (*(s for s in sides if s < longest), longest)]
        cuts = {tile: self._cut(plane, tile) for tile in tiles}
        cuts = {tile: cut for tile, cut in cuts.items() if cut.most_elements <= _MOST_ELEMENTS}
        best = choose_tile(
            {tile: cut.peak_bytes for tile, cut in cuts.items()},
            {tile: cut.relative_seconds for tile, cut in cuts.items()},
            budget.bytes,
            patience=_PATIENCE,
        )
        return None if best is None else cuts[best]

    def _choose_for_crops(
        self,
        plane: Size,
        rows: tuple[Interval, ...],
        columns: tuple[Interval, ...],
        budget: Budget,
    ) -> tuple[_Cut, int]:
        """The cut of the largest crop, each being a picture of its own, and the work of all."""
        _, down = self._network.scale

        def read(crop: Size) -> Size:
            return Size(min(crop.height * down, plane.height), min(crop.width * down, plane.width))

        largest = Size(max(row.size for row in rows), max(column.size for column in columns))
        cut = self._choose(read(largest), "auto", budget)
        shapes = Counter(Size(row.size, column.size) for row in rows for column in columns)
        work = sum(times * self._cut(read(crop), cut.tile).work for crop, times in shapes.items())
        return cut, work

    def _batch(self, cut: _Cut, frames: int | None, budget: Budget) -> int:
        """Frames computed together: many on a GPU, one on a CPU, which gains nothing by more."""
        if frames is None or self._settings.device.type == "cpu":
            return 1
        affordable = budget.bytes // max(1, cut.peak_bytes)
        correct = _MOST_ELEMENTS // max(1, cut.most_elements)
        return max(1, min(frames, affordable, correct, _MOST_FRAMES))

    def _checked_overlap(self, overlap: Overlap) -> Overlap:
        if overlap == "exact":
            return overlap
        if not isinstance(overlap, int) or isinstance(overlap, bool) or overlap < 0:
            raise InputError(f"overlap: expected exact, or latents from 0 up, found {overlap!r}")
        halo = self._network.halo
        return "exact" if halo is not None and overlap >= halo else overlap


def _square(side: int, latents: Size) -> Size:
    return Size(min(side, latents.height), min(side, latents.width))


def _checked_tile(tile: Tile, latents: Size) -> Size | Literal["auto"]:
    if tile == "auto":
        return "auto"
    if tile is None:
        return latents
    sides = (tile, tile) if isinstance(tile, int) else tile
    if (
        isinstance(tile, bool)
        or not isinstance(sides, tuple)
        or len(sides) != 2
        or not all(isinstance(side, int) and side > 0 for side in sides)
    ):
        raise InputError(
            "tile: expected auto, None, or latents from 1 up as N or (height, width),"
            f" found {tile!r}"
        )
    return Size(min(sides[0], latents.height), min(sides[1], latents.width))
