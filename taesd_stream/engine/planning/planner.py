"""From a picture's size and a budget to a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Literal, NoReturn

from taesd_stream.engine.options import Overlap, Tile, TileOptions
from taesd_stream.engine.planning.costs import MOST_ELEMENTS, Cut, Cutter
from taesd_stream.engine.planning.strategies import (
    MOST_STEPS,
    SPILLING,
    Budget,
    Course,
    Order,
    Way,
    orders,
)
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.network import Network
from tiling import (
    WHOLE,
    Interval,
    MemoryPlan,
    Size,
    TilePlan,
    View,
    choose_tile,
    crops,
    format_bytes,
)

__all__ = ["Budget", "BudgetError", "Planner"]

# A tile that takes a little longer by this estimate, and less memory, is the better one. What is
# held costs OpenVINO no time by the estimate, and does a little.
_PATIENCE = {"torch": 0.015, "openvino": 0.035}
# Where tiles go on from each other, the quickest need little memory as it is.
_CONTINUED_PATIENCE = 0.003
_TILES = (8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
# Where nothing is computed twice along a row, tiles need not be larger than the caches, and only
# the height of a row matters: the sides of squares, and how many times as high and as narrow as
# those tiles are.
_CONTINUED_TILES = (8, 16, 24, 32, 40)
_UPRIGHT = (2, 4)
# Narrow layers, such as nano's, leave room in the caches for larger ones, which are begun less
# often: up to this much at once.
_LARGE_CONTINUED_TILES = (64,)
_IN_CACHES_BYTES = 60 << 20
_TINY_TILES = (1, 2, 3, 4, 6)


class BudgetError(InputError):
    """Nothing fits the budget."""


class Planner:
    """Makes plans for one network; what it has worked out for a size, it remembers.

    Args:
        model: The model's name.
        network: The encoder or the decoder.
        settings: Where and how it computes.

    Attributes:
        settings: The same.
    """

    def __init__(self, model: str, network: Network, settings: Settings) -> None:
        self._model = model
        self._network = network
        self.settings = settings
        self._cut = Cutter(network, settings)
        self._patience = _CONTINUED_PATIENCE if self._cut.continued else _PATIENCE[settings.backend]

    def plan(self, plane: Size, course: Course, options: TileOptions, budget: Budget) -> TilePlan:
        """The plan for pictures, or a video, whose input plane is ``plane``.

        Args:
            course: How they come.

        Raises:
            InputError: An option makes no sense, or nothing fits the budget.
        """
        _, down = self._network.scale
        made = self._network.out_plane(plane)
        latents = self._network.latent_plane(plane)
        checked = _checked_tile(options.tile, latents)
        overlap = self._checked_overlap(options.overlap)
        view = self._checked_view(options, plane, latents)
        rows: tuple[Interval, ...] = (Interval(0, latents.height),)
        columns: tuple[Interval, ...] = (Interval(0, latents.width),)
        if overlap == "exact":
            cut, way = self._choose(plane, checked, budget, course, view=view)
            work = cut.work
        else:
            core = _square(max(64, 4 * overlap), latents) if checked == "auto" else checked
            rows = crops(latents.height, core.height, overlap)
            columns = crops(latents.width, core.width, overlap)
            cut, way, work = self._choose_for_crops(plane, rows, columns, budget, course)
        memory = way.memory(cut)
        return TilePlan(
            model=self._model,
            action="decode" if down == 1 else "encode",
            frames=course.pictures,
            latents=latents,
            pixels=view.made(made) if down == 1 else plane,
            overlap=overlap,
            crops=(rows, columns),
            batch=self._batch(cut, memory, course, budget) if overlap == "exact" else 1,
            passes=cut.passes,
            work=work,
            undivided_work=self._cut(plane, latents, view).work,
            budget_bytes=budget.bytes,
            where=str(self.settings),
            memory=memory,
            view=view,
            scratch=way.spills,
            bands=way.bands(cut),
        )

    def _choose(
        self,
        plane: Size,
        tile: Size | Literal["auto"],
        budget: Budget,
        course: Course,
        *,
        view: View = WHOLE,
        crops: int = 1,
    ) -> tuple[Cut, Way]:
        """The cut asked for, checked, or else the quickest that fits, and the order to go in."""
        device = self.settings.device
        possible: tuple[Order, ...] = (Order("device"),)
        if self._network.stateful:
            possible = orders(course, device)
        elif len(self._network.passes) > 1:
            possible = (*possible, SPILLING)
        ways = [
            Way(self._network, plane, order, course, budget, view, crops, self._together)
            for order in possible
        ]
        found: list[tuple[float, Cut, Way]] = []
        for way in ways:
            cut = self._best_cut(plane, tile, budget, way)
            if cut is not None:
                found.append((cut.relative_seconds * way.order.costs, cut, way))
        if not found:
            self._refuse(plane, tile, budget, ways)
        quickest = min(seconds for seconds, _, _ in found)
        return next(
            (cut, way) for seconds, cut, way in found if seconds <= quickest * (1 + self._patience)
        )

    def _best_cut(
        self, plane: Size, tile: Size | Literal["auto"], budget: Budget, way: Way
    ) -> Cut | None:
        if tile == "auto":
            latents = self._network.latent_plane(plane)
            tiny = {_square(side, latents) for side in _TINY_TILES}
            return self._quickest(
                plane, {latents, *self._tiles(latents, way)}, budget, way
            ) or self._quickest(plane, tiny, budget, way)
        cut = self._cut_for(way, tile)
        if cut.most_elements > MOST_ELEMENTS or (
            (budget.is_firm or not way.is_last_resort) and way.peak_bytes(cut) > budget.bytes
        ):
            return None
        return cut

    def _refuse(
        self, plane: Size, tile: Size | Literal["auto"], budget: Budget, ways: list[Way]
    ) -> NoReturn:
        if tile == "auto":
            least = min(way.peak_bytes(self._cut_for(way, Size(1, 1))) for way in ways)
            raise BudgetError(
                f"memory: {self._model} needs at least {format_bytes(least)} for a picture of"
                f" this size, more than the {budget}; give it more"
            )
        cut = self._cut_for(ways[-1], tile)
        if cut.most_elements > MOST_ELEMENTS:
            raise InputError(
                f"tile: {tile} latents need {cut.most_elements:,} elements at once, more than the"
                f" {MOST_ELEMENTS:,} that PyTorch upsamples correctly; give a smaller tile"
            )
        least = min(way.peak_bytes(self._cut_for(way, tile)) for way in ways)
        raise BudgetError(
            f"memory: a tile of {tile} latents needs about {format_bytes(least)},"
            f" more than the {budget}; give a smaller tile, or leave it to be chosen"
        )

    def _quickest(self, plane: Size, tiles: set[Size], budget: Budget, way: Way) -> Cut | None:
        """The quickest cut into one of these tiles, or none, that fits the budget."""
        cuts = {tile: self._cut_for(way, tile) for tile in tiles}
        cuts = {tile: cut for tile, cut in cuts.items() if cut.most_elements <= MOST_ELEMENTS}
        best = choose_tile(
            {tile: way.peak_bytes(cut) for tile, cut in cuts.items()},
            {tile: cut.relative_seconds for tile, cut in cuts.items()},
            budget.bytes,
            patience=self._patience,
        )
        return None if best is None else cuts[best]

    def _cut_for(self, way: Way, tile: Size) -> Cut:
        return self._cut(way.plane, tile, way.view, spills=way.spills)

    def _tiles(self, latents: Size, way: Way) -> Iterator[Size]:
        """Squares, or where tiles of a row go on from each other upright ones of their areas."""
        if not self._cut.continued:
            longest = max(latents.height, latents.width)
            yield from (_square(side, latents) for side in _TILES if side < longest)
            return
        for side, ratio in product((*_CONTINUED_TILES, *_LARGE_CONTINUED_TILES), _UPRIGHT):
            height = min(side * ratio, latents.height)
            tile = Size(height, min(-(-(side**2) // height), latents.width))
            held = self._cut_for(way, tile).most_elements * self.settings.dtype.itemsize
            if side in _CONTINUED_TILES or held <= _IN_CACHES_BYTES:
                yield tile

    def _choose_for_crops(
        self,
        plane: Size,
        rows: tuple[Interval, ...],
        columns: tuple[Interval, ...],
        budget: Budget,
        course: Course,
    ) -> tuple[Cut, Way, int]:
        """The cut of the largest crop, each being a picture of its own, and the work of all."""
        _, down = self._network.scale

        def read(crop: Size) -> Size:
            return Size(min(crop.height * down, plane.height), min(crop.width * down, plane.width))

        largest = Size(max(row.size for row in rows), max(column.size for column in columns))
        count = len(rows) * len(columns)
        cut, way = self._choose(read(largest), "auto", budget, course, crops=count)
        shapes = Counter(Size(row.size, column.size) for row in rows for column in columns)
        grid = cut.grid
        work = sum(
            times * self._cut(read(crop), grid.tile, WHOLE).work for crop, times in shapes.items()
        )
        return cut, way, work

    def _batch(self, cut: Cut, memory: MemoryPlan | None, course: Course, budget: Budget) -> int:
        """Steps computed together."""
        steps = course.steps if course.ahead is None else course.ahead
        if steps is None:
            return 1
        held = memory.held_bytes if memory is not None else 0
        affordable = (budget.bytes - held) // max(1, cut.peak_bytes)
        correct = MOST_ELEMENTS // max(1, cut.most_elements)
        turn = steps if memory is None or memory.segment is None else memory.segment
        return max(1, min(turn, affordable, correct, self._together))

    @property
    def _together(self) -> int:
        """Many on a GPU, one on a CPU, which gains nothing by more."""
        return 1 if self.settings.device.type == "cpu" else MOST_STEPS

    def _checked_overlap(self, overlap: Overlap) -> Overlap:
        if overlap == "exact":
            return overlap
        if not isinstance(overlap, int) or isinstance(overlap, bool) or overlap < 0:
            raise InputError(f"overlap: expected exact, or latents from 0 up, found {overlap!r}")
        halo = self._network.halo
        return "exact" if halo is not None and overlap >= halo else overlap

    def _checked_view(self, options: TileOptions, plane: Size, latents: Size) -> View:
        _, down = self._network.scale
        if down > 1 and options.crop is not None:
            raise InputError("crop: expected none for encoding; crop the picture, or the latents")
        view = options.view(self._network.out_plane(plane))
        if down > 1 and view.axes and latents.scale(down) != plane:
            raise InputError(
                f"wrap: expected a picture whose sides are multiples of {down} pixels, found"
                f" {plane}; crop it first"
            )
        return view


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
