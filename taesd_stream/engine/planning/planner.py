"""From a picture's size and a budget to a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Literal, NoReturn

from taesd_stream.engine.budget import Budget
from taesd_stream.engine.cores import Cores, shares_of_cores
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.costs import MOST_ELEMENTS, CostModel, TiledCost
from taesd_stream.engine.planning.request import Request
from taesd_stream.engine.planning.shared_parts import MOST_ABREAST
from taesd_stream.engine.planning.strategies import (
    THROUGH_SCRATCH,
    Candidate,
    Strategy,
    Workload,
    steps_together,
    strategies,
)
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.network import Network
from tiling import WHOLE, Interval, Region, Size, TilePlan, choose_tile, format_bytes, patches

__all__ = ["BudgetError", "Planner"]

# A tile that takes a little longer by this estimate, and less memory, is the better one. What is
# held costs OpenVINO no time by the estimate, and does a little.
_PATIENCE = {"torch": 0.015, "openvino": 0.045, "onnxruntime": 0.045}
# Where tiles go on from each other, the quickest need little memory as it is.
_CONTINUED_PATIENCE = 0.003
_TILES = (8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
# Heights and widths for OpenVINO, which makes such tiles in sections: little more is computed twice
# than in squares as wide, and much less held.
_WIDE_TILES = (Size(128, 256), Size(192, 256), Size(224, 256))
# Where nothing is computed twice along a band, tiles need not be larger than the caches, and only
# the height of a band matters: the sides of squares, and how many times as high and as narrow as
# those tiles are.
_CONTINUED_TILES = (8, 16, 24, 32, 40)
_UPRIGHT = (2, 4)
# Narrow layers, such as nano's, leave room in the caches for larger ones, which are begun less
# often: up to this much at once.
_LARGE_CONTINUED_TILES = (64,)
_IN_CACHES_BYTES = 60 << 20
_TINY_TILES = (1, 2, 3, 4, 6)
_AT_HAND = Strategy("device")


class BudgetError(InputError):
    """Nothing fits the budget."""


class Planner:
    """Makes plans for one network; what it has worked out for a size, it remembers.

    Args:
        model: The model's name.
        network: The encoder or the decoder.
        settings: Where and how it computes.
        records: Whether tiles are recorded by their kinds.
        costs: What plans cost; None is what going forward costs.

    Attributes:
        settings: The same.
        candidate: How the memory of a strategy is counted.
        most_abreast: The most time steps of a video's only tile that are under way at once.
    """

    candidate = Candidate
    most_abreast = MOST_ABREAST

    def __init__(
        self,
        model: str,
        network: Network,
        settings: Settings,
        *,
        records: bool = False,
        costs: CostModel | None = None,
    ) -> None:
        self._model = model
        self._network = network
        self.settings = settings
        self._costs = costs or CostModel(network, settings, records=records)
        self._is_for_gpu = records or settings.device.type != "cpu"
        self._plans = lru_cache(maxsize=64)(self._make_plan)
        self._patience = (
            _CONTINUED_PATIENCE if self._costs.continued else _PATIENCE[settings.backend]
        )

    def plan(
        self, plane: Size, workload: Workload, options: TileOptions, budget: Budget
    ) -> TilePlan:
        """The plan for pictures, or a video, whose input plane is ``plane``.

        Args:
            workload: How they come.

        Raises:
            InputError: An option makes no sense, or nothing fits the budget.
        """
        shares = shares_of_cores(options.threads)
        if not self._costs.is_ours_to_share:
            shares = (Cores(),)
        return self._plans(
            Request.of(self._network, plane, workload, options, budget, shares=shares)
        )

    def _make_plan(self, asked: Request) -> TilePlan:
        plane, workload, budget = asked.plane, asked.workload, asked.budget
        overlap, view, shares = asked.overlap, asked.view, asked.shares
        made, latents = self._network.out_plane(plane), self._network.latent_plane(plane)
        rows: tuple[Interval, ...] = (Interval(0, latents.height),)
        columns: tuple[Interval, ...] = (Interval(0, latents.width),)
        gained = steps_together(max(plane.area, made.area)) if self._is_for_gpu else 1
        together = asked.chunk or gained
        abreast = min(shares[0].threads, self.most_abreast) if overlap == "exact" else 1
        first = self.candidate(
            self._network, plane, _AT_HAND, workload, budget, view, 1, together, abreast
        )
        if overlap == "exact":
            cost, candidate = self._choose(first, asked.tile, shares)
            work = cost.work
        else:
            side = max(64, 4 * overlap)
            core = Size(side, side).cut_to(latents) if asked.tile == "auto" else asked.tile
            rows = patches(latents.height, core.height, overlap)
            columns = patches(latents.width, core.width, overlap)
            cost, candidate, work = self._choose_for_patches(first, rows, columns, shares)
        batch = candidate.batch(cost) if overlap == "exact" or asked.chunk else 1
        return TilePlan(
            model=self._model,
            action=self._action(),
            frames=workload.pictures,
            latents=latents,
            pixels=view.made(made) if self._network.decodes else plane,
            overlap=overlap,
            patches=(rows, columns),
            batch=batch,
            chunk=asked.chunk,
            passes=cost.passes,
            work=work,
            undivided_work=self._costs(plane, latents, view).work,
            budget_bytes=budget.bytes,
            where=str(self.settings),
            state=candidate.state(cost),
            view=view,
            seed=asked.seed,
            scratch=candidate.through_scratch,
            bands=candidate.bands(cost),
            threads=cost.cores.threads,
            cores=shares[0].threads if self._costs.is_ours_to_share else None,
            recorded_bytes=candidate.recorded_bytes(cost, batch),
            moved=cost.moved,
            shortcuts=str(self._network.shortcuts),
            attention=self._network.attention_of([each.work for each in cost.passes]),
            effort=cost.effort * (candidate.strategy.costs * work / cost.work),
        )

    def _choose(
        self, asked: Candidate, tile: Size | Literal["auto"], shares: Sequence[Cores]
    ) -> tuple[TiledCost, Candidate]:
        """The cost asked for, checked, or else the quickest that fits, and how to go about it."""
        candidates = [replace(asked, strategy=strategy) for strategy in self._strategies(asked)]
        found = [
            (cost.relative_seconds * candidate.strategy.costs, cost, candidate)
            for candidate in candidates
            if (cost := self._best_cost(tile, candidate, shares)) is not None
        ]
        if not found:
            self._refuse(tile, candidates, shares[-1])
        quickest = min(seconds for seconds, _, _ in found)
        return next(
            (cost, candidate)
            for seconds, cost, candidate in found
            if seconds <= quickest * (1 + self._patience)
        )

    def _strategies(self, asked: Candidate) -> tuple[Strategy, ...]:
        """The ways to go about what is asked, best first."""
        if self._network.stateful:
            return strategies(asked.workload, self.settings.device, abreast=asked.abreast)
        return (_AT_HAND, THROUGH_SCRATCH) if len(self._network.passes) > 1 else (_AT_HAND,)

    def _action(self) -> str:
        """What is done, for the reader."""
        return "decode" if self._network.decodes else "encode"

    def _best_cost(
        self, tile: Size | Literal["auto"], candidate: Candidate, shares: Sequence[Cores]
    ) -> TiledCost | None:
        """The cost with a tile, the quickest there is or the one asked for; None if none fits."""
        if tile == "auto":
            latents = self._network.latent_plane(candidate.plane)
            usual = {latents, *self._tiles(latents, candidate)}
            tiny = {Size(side, side).cut_to(latents) for side in _TINY_TILES}
            return self._quickest(usual, candidate, shares) or self._quickest(
                tiny, candidate, shares
            )
        found = self._quickest({tile}, candidate, shares)
        if found is None and candidate.is_last_resort and not candidate.budget.is_firm:
            cost = self._cost_of(candidate, tile, shares[-1])
            return cost if cost.most_elements <= MOST_ELEMENTS else None
        return found

    def _refuse(
        self, tile: Size | Literal["auto"], candidates: list[Candidate], cores: Cores
    ) -> NoReturn:
        smallest = Size(1, 1) if tile == "auto" else tile
        costs = [self._cost_of(candidate, smallest, cores) for candidate in candidates]
        least = min(map(Candidate.peak_bytes, candidates, costs))
        budget = candidates[0].budget
        if tile == "auto":
            raise BudgetError(
                f"memory: {self._model} needs at least {format_bytes(least)} for a picture of"
                f" this size, more than the {budget}; give it more"
            )
        if costs[-1].most_elements > MOST_ELEMENTS:
            raise InputError(
                f"tile: {tile} latents need {costs[-1].most_elements:,} elements at once, more than"
                f" the {MOST_ELEMENTS:,} that PyTorch upsamples correctly; give a smaller tile"
            )
        raise BudgetError(
            f"memory: a tile of {tile} latents needs about {format_bytes(least)},"
            f" more than the {budget}; give a smaller tile, or leave it to be chosen"
        )

    def _quickest(
        self, tiles: set[Size], candidate: Candidate, shares: Sequence[Cores]
    ) -> TiledCost | None:
        """The quickest of these tiles that fits the budget; None if none does."""
        costs = {
            (tile, cores): cost
            for tile, cores in product(tiles, shares)
            if (cost := self._cost_of(candidate, tile, cores)).most_elements <= MOST_ELEMENTS
        }
        best = choose_tile(
            {way: candidate.peak_bytes(cost) for way, cost in costs.items()},
            {way: cost.relative_seconds for way, cost in costs.items()},
            candidate.budget.bytes,
            patience=self._patience,
        )
        return None if best is None else costs[best]

    def _cost_of(self, candidate: Candidate, tile: Size, cores: Cores) -> TiledCost:
        return self._costs(
            candidate.plane,
            tile,
            candidate.view,
            cores,
            at_once=candidate.at_once,
            together=candidate.chunk,
            through_scratch=candidate.through_scratch,
        )

    def _tiles(self, latents: Size, candidate: Candidate) -> Iterator[Size]:
        """Squares, or where tiles of a band go on from each other upright ones of their areas."""
        if not self._costs.continued:
            longest = max(latents.height, latents.width)
            yield from (Size(side, side).cut_to(latents) for side in _TILES if side < longest)
            if self.settings.backend == "openvino" and not self._network.stateful:
                yield from (tile.cut_to(latents) for tile in _WIDE_TILES)
            return
        for side, ratio in product((*_CONTINUED_TILES, *_LARGE_CONTINUED_TILES), _UPRIGHT):
            height = min(side * ratio, latents.height)
            tile = Size(height, min(-(-(side**2) // height), latents.width))
            held = (
                self._cost_of(candidate, tile, Cores()).most_elements * self.settings.dtype.itemsize
            )
            if side in _CONTINUED_TILES or held <= _IN_CACHES_BYTES:
                yield tile

    def _choose_for_patches(
        self,
        asked: Candidate,
        rows: tuple[Interval, ...],
        columns: tuple[Interval, ...],
        shares: Sequence[Cores],
    ) -> tuple[TiledCost, Candidate, int]:
        """The cost of the largest patch, each being a picture of its own, and the work of all."""
        _, down = self._network.scale

        def read(patch: Size) -> Size:
            return Region.whole(patch.scale(down)).clip(asked.plane).shape

        largest = Size(max(row.size for row in rows), max(column.size for column in columns))
        count = len(rows) * len(columns)
        cost, candidate = self._choose(
            replace(asked, plane=read(largest), patches=count), "auto", shares
        )
        shapes = Counter(Size(row.size, column.size) for row in rows for column in columns)
        grid = cost.grid
        works = (n * self._costs(read(patch), grid.tile, WHOLE).work for patch, n in shapes.items())
        return cost, candidate, sum(works)
