"""One half of a model and all it takes to run it: plans and executors."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from time import monotonic

import torch

from taesd_stream.engine.backends import Backend, EagerBackend
from taesd_stream.engine.backends.choice import torch_backend
from taesd_stream.engine.budget import Budget, read_budget
from taesd_stream.engine.gradients.backward import Backward
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.plain_modes import loading
from taesd_stream.engine.planning.planner import BudgetError, Planner
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.running.estimating import NormEstimate
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.latent_spaces import Convention, checked_convention
from taesd_stream.models.network import Network
from taesd_stream.models.shortcuts import Shortcuts
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.variations import drawing, shortened
from tiling import Size, TilePlan

__all__ = ["Coder"]


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

    Attributes:
        exact: The same without shortcuts, where ``network`` takes any.
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
        self.exact = self
        self.network = network
        self.settings = settings
        self._backend = backend or torch_backend(settings)
        self.convention: Convention = convention or "model"
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
        return Coder(self.spec, network, settings, convention=self.convention)

    def shortened(self, shortcuts: Shortcuts) -> Coder:
        """The same with shortcuts, in PyTorch's own kernels.

        Raises:
            InputError: There is nothing in the network to shorten.
        """
        network = shortened(self.exact.network, shortcuts)
        backend = EagerBackend() if shortcuts.fast_norms else self._backend
        made = Coder(self.spec, network, self.settings, backend, convention=self.convention)
        made.exact = self.exact
        return made

    def seeded(self, seed: int | None) -> Coder:
        """The same; given a seed, what it makes the mean of is drawn instead."""
        return self if seed is None or self.network.draws else self._drawing

    @cached_property
    def _drawing(self) -> Coder:
        network = drawing(self.network)
        made = Coder(self.spec, network, self.settings, self._backend, convention=self.convention)
        made.exact = self.exact
        return made

    @cached_property
    def backward(self) -> Backward:
        """Brings gradients of what it makes back."""
        return Backward(self.spec.name, self.network, self.settings)

    def plan(
        self, plane: Size, workload: Workload, options: TileOptions, *, backward: bool = False
    ) -> TilePlan:
        """Plan how pictures, or a video, of one size will be cut.

        Args:
            backward: To bring a gradient of what is made of them back to them.

        Raises:
            InputError: An option makes no sense, or nothing fits the budget.
        """
        budget = self._budget(options)
        try:
            if backward:
                return self.backward.plan(plane, workload, options, budget)
            return self._planner.plan(plane, workload, options, budget)
        except BudgetError as error:
            if self._sparing is None or backward:
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

    def settings_of(self, plan: TilePlan) -> Settings:
        """Where and how a plan that this coder made is computed."""
        sparing = None if self._sparing is None else self._sparing.settings
        return sparing if sparing is not None and plan.where == str(sparing) else self.settings

    def executor(self, plan: TilePlan) -> Executor:
        """The executor of a plan that this coder made."""
        planner, backend = self._planner, self._backend
        if self._sparing is not None and self.settings_of(plan) == self._sparing.settings:
            planner, backend = self._sparing, self._sparing_backend
        if planner.settings.backend == "torch" and not self._is_ordered:
            with loading():
                self.network.order_weights()
            self._is_ordered = True
        return Executor(self.network, planner.settings, plan, backend, self._estimate(plan))

    def _estimate(self, plan: TilePlan) -> NormEstimate | None:
        """What finds the norms of pictures, where these are not gone by as they are."""
        if not self.network.shortcuts.fast_norms:
            return None
        network, planner = self._with_norms
        return NormEstimate(network, planner, Budget(plan.budget_bytes, is_firm=True))

    @cached_property
    def _with_norms(self) -> tuple[Network, Planner]:
        """The network whose norms are gone by as they are, and what plans for it."""
        shortcuts = replace(self.network.shortcuts, fast_norms=False)
        network = shortened(self.exact.network, shortcuts)
        return network, Planner(self.spec.name, network, self.settings)

    def scale(self, convention: object, latents: object = None) -> LatentScale:
        """The scale of latents whose convention is this, or what their source says of itself.

        Raises:
            InputError: There is no such convention, or the figures are not published.
        """
        if convention is None:
            convention = getattr(latents, "convention", None) or self.convention
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
