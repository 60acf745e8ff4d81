"""One half of a model and all it takes to run it: plans, executors, and what tiles remember."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cached_property
from itertools import product
from time import monotonic
from typing import TypeAlias

import torch
from torch import Tensor, nn

from taesd_stream.engine.backends import Backend
from taesd_stream.engine.backends.choice import torch_backend
from taesd_stream.engine.budget import Budget, read_budget
from taesd_stream.engine.device_copies import brought_home
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.plain_modes import loading
from taesd_stream.engine.planning.planner import BudgetError, Planner
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.running.blended import blended_tiles
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.planes import Plane, as_plane
from taesd_stream.engine.running.tile_states import TileStates
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.latent_spaces import Convention, checked_convention
from taesd_stream.models.network import Network
from taesd_stream.models.spec import ModelSpec
from tiling import WHOLE, Block, Interval, Region, Size, TilePlan

__all__ = ["Coder", "OnTile", "Run", "cut_short"]

OnTile: TypeAlias = Callable[[int, int], None]
"""Told after each tile how much is done, and of how much."""


class Coder:
    """An encoder or a decoder, ready to work.

    Args:
        spec: The model in figures.
        network: The encoder or the decoder, on its device.
        settings: Where and how it computes.
        backend: Who computes the layers.
        sparing: Other settings, of PyTorch's own backend, for budgets that the first ones do not
            fit; None where the first ones were asked for.
        convention: Of the latents that callers have, where neither they nor a file say.
    """

    def __init__(
        self,
        spec: ModelSpec,
        network: Network,
        settings: Settings,
        backend: Backend | None = None,
        sparing: Settings | None = None,
        *,
        convention: Convention | None = None,
    ) -> None:
        self.spec = spec
        self.network = network
        self.settings = settings
        self._backend = backend or torch_backend(settings)
        self._convention: Convention = convention or "model"
        self._sparing: Planner | None = None
        if sparing is not None:
            self._sparing_backend = torch_backend(sparing)
            self._sparing = Planner(
                spec.name, network, sparing, records=self._sparing_backend.records
            )
        self._free: tuple[int, Budget] | None = None
        self._planner = Planner(spec.name, network, settings, records=self._backend.records)
        self._is_ordered = False

    def moved(self, settings: Settings) -> Coder:
        """A copy that computes elsewhere, or in another precision, in PyTorch's own kernels."""
        network = deepcopy(self.network)
        network.place(settings.device, settings.tensor_dtype)
        return Coder(self.spec, network, settings, convention=self._convention)

    def plan(self, plane: Size, workload: Workload, options: TileOptions) -> TilePlan:
        """Plan how pictures, or a video, of one size will be cut.

        Raises:
            InputError: An option makes no sense, or nothing fits the budget.
        """
        budget = self._budget(options)
        try:
            return self._planner.plan(plane, workload, options, budget)
        except BudgetError as error:
            if self._sparing is None:
                raise InputError(str(error)) from error
        return self._sparing.plan(plane, workload, options, budget)

    def _budget(self, options: TileOptions) -> Budget:
        """The budget asked for; what is free is read once in a second, for callers with many."""
        if options.memory != "auto":
            return read_budget(options.memory, self.settings.device)
        second = int(monotonic())
        if self._free is None or self._free[0] != second:
            self._free = second, read_budget("auto", self.settings.device)
        return self._free[1]

    def executor(self, plan: TilePlan) -> Executor:
        """The executor of a plan that this coder made."""
        planner, backend = self._planner, self._backend
        if self._sparing is not None and plan.where == str(self._sparing.settings):
            planner, backend = self._sparing, self._sparing_backend
        if planner.settings.backend == "torch" and not self._is_ordered:
            with loading():
                self.network.order_weights()
            self._is_ordered = True
        return Executor(self.network, planner.settings, plan, backend)

    def scale(self, convention: object, latents: object = None) -> LatentScale:
        """The scale of latents whose convention is this, or what their source says of itself.

        Raises:
            InputError: There is no such convention, or the figures are not published.
        """
        if convention is None:
            convention = getattr(latents, "convention", None) or self._convention
        return LatentScale(self.spec.space, self.spec.convention, checked_convention(convention))

    @property
    def remembers(self) -> bool:
        """Whether a step builds on those before it, as in models for videos."""
        return bool(self.network.stateful)

    @property
    def rounding(self) -> str:
        """A digest of the rounding to 8 bits, one for each way; "none" where nothing is rounded."""
        return self._backend.rounding

    def digest(self) -> str:
        """A digest of the weights."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def cut_short() -> InputError:
    """The error of going on with a video after a step that did not come to its end."""
    return InputError(
        "stream: expected the steps before to be complete, found that an error or an interrupt cut"
        " them short; open another stream, from a saved state if there is one"
    )


class Run:
    """Pictures, or one video, computed under one plan.

    Args:
        coder: The encoder or the decoder.
        plan: One of its plans.
        plane: Height and width of what is computed.
        goes_on: Whether one video comes in as many calls of ``tiles`` as it takes; else pictures,
            or one whole video, come in a single call.

    Attributes:
        plan: How they are cut.
        plane: Height and width of what they are made of.
        made: The plane that is made: what the network makes of its input, or part of it.
    """

    def __init__(self, coder: Coder, plan: TilePlan, plane: Size, *, goes_on: bool) -> None:
        self.plan = plan
        self.made = plan.view.made(coder.network.out_plane(plane))
        self.plane = plane
        self._is_whole = True
        self._network, self._settings = coder.network, coder.settings
        self._executor = coder.executor(plan)
        _, down = coder.network.scale
        crops = (Region(y, x).scale(down).clip(plane).shape for y, x in product(*plan.patches))
        self._states = [self._executor.states(crop) if goes_on else None for crop in crops]

    @cached_property
    def bands(self) -> tuple[Interval, ...]:
        """The rows that each row of tiles completes, from top to bottom."""
        return self._executor.bands(self.plane)

    @cached_property
    def _names(self) -> dict[nn.Module, str]:
        return {layer: name for name, layer in self._network.stateful.items()}

    def tiles(
        self, source: Tensor | Plane, on_tile: OnTile | None, *, first_band: int = 0
    ) -> Iterator[tuple[Block, Tensor]]:
        """The tiles that the next steps make, (n, C, h, w); blended ones are to be added up.

        Args:
            source: (N, C, h, w), the next steps.
            first_band: The first of ``bands`` to make.

        Raises:
            InputError: Earlier steps were not computed to their end.
        """
        self._check_whole()
        self._is_whole = False
        up, down = self._network.rate
        seen = self._states[0].at if self._states[0] is not None else 0
        plane = as_plane(source)
        frames = (seen + plane.frames) * up // down - seen * up // down
        total = frames * self.made.area
        done = self.bands[first_band].start * self.made.width if first_band else 0
        if self.plan.overlap == "exact":
            tiles = self._executor.run(plane, self._states[0], first_band=first_band)
        else:
            area = sum(y.size * x.size for y, x in product(*self.plan.patches))
            total = total * area // self.plan.latents.area
            tiles = blended_tiles(self._executor, self.plan, plane, self.made, self._states)
        for block, tile in tiles:
            yield block, tile
            done += block.volume
            if on_tile is not None:
                on_tile(done, total)
        self._is_whole = True

    def parts(
        self, source: Tensor, on_tile: OnTile | None, *, home: torch.device | None = None
    ) -> Iterator[tuple[int, tuple[slice, slice], Tensor]]:
        """The ``tiles``, step by step.

        Args:
            home: Where they will be taken, which may be the host; None where they stay.

        Yields:
            The number of the step, the rows and columns of the part, and the part, (C, h, w).
        """
        tiles = self.tiles(source, on_tile)
        if home is not None and home.type == "cpu" and self._settings.device.type == "cuda":
            tiles = brought_home(tiles)
        for block, tile in tiles:
            steps, *place = block.slices
            for step, part in zip(range(steps.start, steps.stop), tile, strict=True):
                yield step, (place[0], place[1]), part

    def remembered(self) -> dict[str, Tensor]:
        """The states of the network's layers for the whole plane, by the layers' names.

        Raises:
            InputError: The plan blends patches, each of which remembers for itself.
        """
        self._check_whole()
        states = self._only_states()
        if states is None:
            return {}
        return {self._names[layer]: tensor for layer, tensor in states.whole().items()}

    def go_on(self, remembered: Mapping[str, Tensor], steps: int) -> None:
        """Go on where ``remembered`` was asked, after so many steps.

        Raises:
            InputError: It is not what this network remembers of a plane of this size.
        """
        states = self._only_states()
        if states is None:
            return
        kept: dict[nn.Module, Tensor] = {}
        for want in self._network.passes[0].state_regions(Region.whole(self.made), self.plane):
            tensor = remembered.get(self._names[want.layer])
            if tensor is None or tuple(tensor.shape[1:]) != want.shape:
                continue
            if 0 < tensor.shape[0] <= want.layer.kept_steps:
                kept[want.layer] = tensor.to(self._settings.tensor_dtype)
        _, down = self._network.rate
        # Of a decoder every layer remembers something after one step, of an encoder not yet.
        lacking = steps and down == 1 and len(kept) != len(self._network.stateful)
        if len(kept) != len(remembered) or lacking:
            raise InputError(
                f"state: expected what {self.plan.model} remembers of {self.plan.latents} latents,"
                " found states of other names or shapes; go on with the model that made it"
            )
        states.begin_with(kept, steps)

    def _check_whole(self) -> None:
        if self._network.stateful and not self._is_whole:
            raise cut_short()

    def _only_states(self) -> TileStates | None:
        if self.plan.overlap != "exact":
            raise InputError(
                "state: expected exact tiles, found blended ones, which remember each for itself;"
                " leave overlap out"
            )
        if self.plan.view != WHOLE:
            raise InputError(
                "state: expected one of whole pictures, found a part of them, or pictures that go"
                " around; leave crop and wrap out"
            )
        return self._states[0]
