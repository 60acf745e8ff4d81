"""Planes that passes leave for each other, and what is known of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from taesd_stream.engine.device_copies import on_device
from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.running.planes import Plane, WritablePlane, room_for
from taesd_stream.engine.running.reading import TileReader
from taesd_stream.engine.running.stages import Stage
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.added import Added
from taesd_stream.models.layers.global_layer import NOISE_CHANNELS, Completed, Seen
from taesd_stream.models.layers.moments import Moments
from taesd_stream.models.layers.tile_state import Known, TileState
from taesd_stream.models.noise import noise
from tiling import Block, Interval, Region, Size, TilePlan

__all__ = ["InTurn", "PassPlanes", "Sources"]


@dataclass(frozen=True, slots=True)
class Sources:
    """What the tiles of a pass are made of.

    Attributes:
        plane: What the pass reads.
        opening: The global layer that opens it, for these planes; None for none.
        adds: What is added to what the body makes; None for nothing.
        known: Norms inside the body that are known from elsewhere.
    """

    plane: Plane
    opening: Completed | None = None
    adds: AddedPlane | None = None
    known: Known | None = None


class PassPlanes:
    """The planes of some pictures, from the first pass that writes one to the last that reads it.

    Args:
        source: What the network reads.
        plan: Tells where planes lie.
        settings: Where and how is computed.
        reader: Reads tiles of planes.
        known: Norms of the pictures that are known from elsewhere.
    """

    def __init__(
        self,
        source: Plane,
        plan: TilePlan,
        settings: Settings,
        reader: TileReader,
        known: Known | None = None,
    ) -> None:
        self._known = known
        self._plan, self._settings, self._reader = plan, settings, reader
        self._planes: dict[int, Plane] = {0: source}
        self._moments: dict[int, Moments] = {}

    def sources(self, stage: Stage) -> Sources:
        """What a pass is made of; every pass that it reads has been run."""
        each = stage.each
        plane = self._joined(each.reads, stage.canvas.read_size)
        opening = adds = None
        if each.opening is not None:
            with Computing(self._settings):
                seen = Seen(self._moments_of(each.reads), _Whole(plane, self._settings))
                opening = each.opening.completed(seen)
        if each.adds is not None:
            adds = AddedPlane(self._joined(each.adds.planes, stage.out), each.adds, self._settings)
        return Sources(plane, opening, adds, self._known)

    def room(self, number: int, stage: Stage) -> WritablePlane | None:
        """Where a pass of this number, counted from 1, writes; None where its plane is not kept."""
        source = self._planes[0]
        each, use = stage.each, stage.use
        frames, channels = source.frames, each.out_channels
        if use.gathers is not None:
            area, device = stage.out.area, self._settings.device
            self._moments[number] = use.gathers(frames, channels, area, device)
        if not each.keeps:
            self._planes[number] = _MadeAgain(stage, self._planes[0], self._reader)
            return None
        if use.replaces is not None:
            room = self._planes.pop(use.replaces)
        else:
            room = room_for(self._plan, self._settings, frames, channels, stage.out)
        self._planes[number] = room
        return room  # type: ignore[return-value]

    def moments(self, number: int) -> Moments | None:
        """The moments of a pass's plane, to be gathered; None where nobody goes by them."""
        return self._moments.get(number)

    def plane(self, number: int) -> Plane:
        """The plane that a pass has made."""
        return self._planes[number]

    def free(self, numbers: Sequence[int]) -> None:
        """Let go of planes that nobody reads any more."""
        for number in numbers:
            del self._planes[number]
            self._moments.pop(number, None)

    def _joined(self, numbers: Sequence[int], size: Size) -> Plane:
        """Planes side by side.

        Args:
            size: Of the noise among them.
        """
        frames = self._planes[0].frames
        planes = [
            self._planes[number]
            if number >= 0
            else _Noise(self._plan.seed, -number, frames, size, self._settings)
            for number in numbers
        ]
        return planes[0] if len(planes) == 1 else _SideBySide(planes)

    def _moments_of(self, numbers: Sequence[int]) -> Moments:
        return Moments.side_by_side([self._moments[number] for number in numbers])


class AddedPlane:
    """A plane that is added to tiles.

    Args:
        plane: The plane, which is as large as what is made when it has gone through that.
        added: Tells what it goes through.
        settings: Where and how is computed.
    """

    def __init__(self, plane: Plane, added: Added, settings: Settings) -> None:
        self._plane, self._through, self._settings = plane, added.through, settings

    def add_to(self, made: Tensor, block: Block) -> Tensor:
        """A fresh tile, (n, C, h, w), with what lies there added in place."""
        if self._through is None:
            return made.add_(self._part(block))
        rows = self._through.span(block.region.y, self._plane.size.height)
        columns = self._through.span(block.region.x, self._plane.size.width)
        part = self._part(Block(block.frames, Region(rows.given, columns.given)))
        return made.add_(self._through(part, rows, columns, TileState()))

    def _part(self, block: Block) -> Tensor:
        return on_device(self._plane.read(block), self._settings)


class InTurn:
    """A plane that one thread reads at a time: files have one place that they are read at.

    Args:
        plane: The plane.
    """

    def __init__(self, plane: Plane) -> None:
        self._plane, self._turn = plane, Lock()
        self.frames, self.size = plane.frames, plane.size

    def read(self, block: Block) -> Tensor:
        with self._turn:
            return self._plane.read(block)


class _MadeAgain:
    """A plane that is not kept: what is read of it is made then."""

    def __init__(self, stage: Stage, source: Plane, reader: TileReader) -> None:
        self._stage, self._source, self._reader = stage, source, reader
        self.frames, self.size = source.frames, stage.out

    def read(self, block: Block) -> Tensor:
        stage = self._stage
        before = stage.canvas.made_before
        region = block.region.shift(before.height, before.width)
        rows, columns = stage.each.spans(region, stage.canvas.plane)
        given = Block(block.frames, Region(rows.given, columns.given))
        tile = self._reader.read(stage, self._source, given)
        return stage.kernel(tile, rows, columns, TileState(together=block.frames.size))


class _SideBySide:
    """Planes of one size, whose channels lie side by side."""

    def __init__(self, planes: Sequence[Plane]) -> None:
        self._planes = planes
        self.frames, self.size = planes[0].frames, planes[0].size

    def read(self, block: Block) -> Tensor:
        return torch.cat([plane.read(block) for plane in self._planes], dim=1)


class _Noise:
    """Noise that is made wherever it is read; it is the same for all frames.

    So a picture is the same alone, in a batch, and as a frame of a video, whose noise stands still.
    """

    def __init__(self, seed: int, number: int, frames: int, size: Size, settings: Settings) -> None:
        self._seed, self._number, self._settings = seed, number, settings
        self.frames, self.size = frames, size

    def read(self, block: Block) -> Tensor:
        device = self._settings.device
        made = noise(self._seed, self._number, block.region, NOISE_CHANNELS, device)
        dtype = self._settings.tensor_dtype
        return made.to(dtype).expand(block.frames.size, -1, -1, -1)


class _Whole:
    """A plane that is read besides the tiles that are made of it."""

    def __init__(self, plane: Plane, settings: Settings) -> None:
        self._plane, self._settings = plane, settings
        self.height, self.width = plane.size

    def read(self, frame: int, region: Region, /) -> Tensor:
        block = Block(Interval(frame, frame + 1), region)
        return on_device(self._plane.read(block), self._settings)
