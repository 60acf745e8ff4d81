"""Gradients of a network's output, brought back to its input through all passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from taesd_stream.engine.backends import Backend
from taesd_stream.engine.budget import release
from taesd_stream.engine.clips import Place
from taesd_stream.engine.gradients.branch import Branch
from taesd_stream.engine.gradients.in_time import InTime
from taesd_stream.engine.gradients.tiles import GradientOf, Pulled, Tiles
from taesd_stream.engine.planning.recorded import kept_states
from taesd_stream.engine.running.blended import Patch
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.planes import (
    During,
    Plane,
    TensorPlane,
    WritablePlane,
    add_around,
    room_for,
)
from taesd_stream.engine.running.side_by_side import Stretch, shared_out
from taesd_stream.engine.running.stages import Stage, Stages
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.moments import Moments
from taesd_stream.models.network import Network
from tiling import Block, Interval, Region, TilePlan, chunks

__all__ = ["Outward", "Pulling"]

# On a CPU, the C library's heap fills with pieces too small to be used again: what is recorded of a
# tile is many more of them than what is computed without.
_MANY_TILES = 16
_ROWS = 64  # that zeros are written in, so that few are held


@dataclass(frozen=True, slots=True)
class Outward:
    """The gradient of what was made.

    Attributes:
        gradient: (T, C, H, W), of the steps that were wanted.
        place: Tells which of these a step that the network makes is, if any.
        limits: The least and the most that these were cut to; None where they were not.
    """

    gradient: Tensor
    place: Place
    limits: tuple[float, float] | None = None

    def weighted(self, patch: Patch) -> Outward:
        """The gradient of a patch, whose output is added to others'."""
        frames = Interval(0, self.gradient.shape[0])
        _, y, x = Block(frames, patch.made).slices
        here = Region.whole(patch.made.shape)
        part = self.gradient[:, :, y, x] * patch.weight(here, self.gradient.device)
        return Outward(part, self.place)

    def of(self, made: Tensor, first: int, shown: Region, within: tuple[slice, slice]) -> Tensor:
        """The gradient of a tile, (n, C, h, w).

        Args:
            made: The tile.
            first: The number of the first of its steps.
            shown: The part of a picture that it shows.
            within: The rows and columns of it that are shown.
        """
        gradient = torch.zeros_like(made)
        for step, of_step in enumerate(gradient):
            index = self.place(first + step)
            if index is not None:
                _, y, x = Block(Interval(index, index + 1), shown).slices
                of_step[:, *within] = self.gradient[index, :, y, x]
        if self.limits is not None:
            least, most = self.limits
            gradient *= (made >= least) & (made <= most)
        return gradient


class Pulling:
    """Brings gradients back through one network, under one plan.

    Args:
        network: The encoder or the decoder, on its device.
        settings: Where and how it computes, in PyTorch's own kernels.
        plan: What is carried out.
        backend: Makes kernels that autograd goes back through.
    """

    def __init__(
        self, network: Network, settings: Settings, plan: TilePlan, backend: Backend
    ) -> None:
        self._network, self._settings, self._plan = network, settings, plan
        self._executor = Executor(network, settings, plan)
        self._stages = Stages(network, settings, plan, backend)

    def run(self, source: Tensor, outward: Outward) -> Tensor:
        """The gradient of (N, C, h, w), pictures or the steps of one video, in full precision."""
        dtype = torch.promote_types(self._settings.tensor_dtype, torch.float32)
        found = torch.zeros_like(source, dtype=dtype)
        plane = TensorPlane(source)
        together = plane.frames if len(self._network.passes) == 1 else self._plan.batch
        for steps in chunks(plane.frames, together):
            into = TensorPlane(found[steps.start : steps.stop])
            self._run_chunk(During(plane, steps), into, steps.start, outward)
        return found

    def _run_chunk(self, plane: Plane, into: WritablePlane, first: int, outward: Outward) -> None:
        """All passes over a few pictures, or a video, from the last to the first.

        Args:
            plane: What the first pass reads.
            into: Where its gradient is added up.
            first: The number of the first input step.
        """
        stages = self._stages.over(plane.size, None)
        filled = list(self._executor.filled(plane))
        gradient_of = self._of_output(stages[-1], first, outward)
        for stage, after in zip(stages[:0:-1], stages[-2::-1], strict=True):
            read, moments = filled.pop()
            onward = self._zeros(read, stage.each.channels)
            self._pass(stage, read, moments, onward, gradient_of)
            gradient_of = _read_from(onward, after)
        self._pass(stages[0], plane, None, into, gradient_of)

    def _pass(
        self,
        stage: Stage,
        plane: Plane,
        moments: Moments | None,
        into: WritablePlane,
        gradient_of: GradientOf,
    ) -> None:
        """Add the gradient of the plane that a pass reads, and whose moments these are."""
        branch: Branch | None = None
        if isinstance(stage.each.opening, GlobalPool) and moments is not None:
            branch = Branch(stage.each.opening, moments, self._settings)
        tiles = Tiles(stage, plane, self._settings, self._plan.view, gradient_of)
        for pulled in self._tiles(stage, tiles, plane.frames, branch):
            place = stage.canvas.read_place(pulled.place)
            add_around(into, place, self._plan.view, pulled.of_input)
            if branch is not None:
                branch.add(pulled.of_pool)
            del pulled  # else it would be held while the next one is made
        if branch is not None:
            branch.add_to(into, plane)

    def _tiles(
        self, stage: Stage, tiles: Tiles, frames: int, branch: Branch | None
    ) -> Iterator[Pulled]:
        """Go back through all tiles of a pass, some of them side by side."""
        if self._network.stateful:
            states = kept_states(self._plan)
            in_time = InTime(tiles, steps=self._plan.batch, states=states)
            whole = Interval(0, frames)

            # Where memory runs out a video is cut into smaller tiles, and never between steps.
            def back(block: Block) -> Pulled:
                return in_time.back(Block(whole, block.region))

            together = frames = 1
        else:
            back = partial(tiles.back, pool=None if branch is None else branch.normalised)
            together = self._plan.batch

        def work(blocks: Iterator[Block]) -> Iterator[Pulled]:
            return (pulled for _, pulled in stage.backoff.run(blocks, back))

        blocks = (
            Block(steps, region)
            for steps in chunks(frames, together)
            for region in stage.canvas.grid
        )
        stretches = [Stretch([block], work) for block in blocks]
        for made, pulled in enumerate(shared_out(stretches, self._plan, ordered=True)):
            if made % _MANY_TILES == 0 and self._settings.device.type == "cpu":
                release(self._settings.device)
            yield pulled
            del pulled

    def _of_output(self, stage: Stage, first: int, outward: Outward) -> GradientOf:
        up, down = self._network.rate

        def of(block: Block, made: Tensor) -> Tensor:
            shown, within = stage.canvas.shown(block.region, self._plan.view.crop)
            return outward.of(made, (first + block.frames.start) * up // down, shown, within)

        return of

    def _zeros(self, like: Plane, channels: int) -> WritablePlane:
        """A plane of zeros as large as another one."""
        room = room_for(self._plan, self._settings, like.frames, channels, like.size)
        for frame in range(like.frames):
            for rows in chunks(like.size.height, _ROWS):
                band = Region(rows, Interval(0, like.size.width))
                zeros = torch.zeros(
                    (1, channels, *band.shape),
                    dtype=self._settings.tensor_dtype,
                    device=self._settings.device,
                )
                room.write(Block(Interval(frame, frame + 1), band), zeros)
        return room


def _read_from(plane: Plane, stage: Stage) -> GradientOf:
    """The gradient of tiles of a pass, of which all of its output is known."""

    def of(block: Block, made: Tensor) -> Tensor:
        return plane.read(Block(block.frames, stage.canvas.true_place(block.region)))

    return of
