"""Pictures, or one video, computed under one plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import product
from typing import TypeAlias

import torch
from torch import Tensor, nn

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.device_copies import brought_home
from taesd_stream.engine.running.blended import blended_tiles
from taesd_stream.engine.running.planes import Plane, as_plane
from taesd_stream.engine.running.tile_states import TileStates
from taesd_stream.errors import InputError
from tiling import WHOLE, Block, Interval, Region, Size, TilePlan

__all__ = ["OnTile", "Run", "cut_short"]

OnTile: TypeAlias = Callable[[int, int], None]
"""Told after each tile how much is done, and of how much."""


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
        done = 0.0
        of_last = 1.0

        def on_part(pictures: float) -> None:
            nonlocal done
            done += pictures * self.made.area
            if on_tile is not None:
                on_tile(round(done), total)

        if self.plan.overlap == "exact":
            of_last = self.plan.passes[-1].work / self.plan.work
            if first_band:
                done = of_last * self.bands[first_band].start * self.made.width
            tiles = self._executor.run(
                plane, self._states[0], first_band=first_band, on_part=on_part
            )
        else:
            area = sum(y.size * x.size for y, x in product(*self.plan.patches))
            total = total * area // self.plan.latents.area
            tiles = blended_tiles(self._executor, self.plan, plane, self.made, self._states)
        for block, tile in tiles:
            done += of_last * block.volume
            if on_tile is not None:  # before it is taken: it may be the last of a finished frame
                on_tile(round(done), total)
            yield block, tile
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
