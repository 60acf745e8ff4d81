"""Kernels of graphs that make tiles of any size anywhere, whichever library runs them."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.engine.backends.graph_cuts import Cuts, Section
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import Interval, Region

__all__ = ["GraphKernel", "TileGraph"]

_NOTHING = Region(Interval(0, 0), Interval(0, 0))


class TileGraph(Protocol):
    """A graph that makes a tile.

    Its inputs are what the tile reads, (n, C, h, w), the bounds of its cuts, and the state of every
    layer that has one; its outputs are the steps or the sections made, and the states for the next
    step.

    Attributes:
        remembering: The layers that have a state, in order.
        steps: The number of steps made.
        sections: The most sections that a tile is made in; 1 where it never is.
    """

    @property
    def remembering(self) -> Sequence[Layer]: ...

    @property
    def steps(self) -> int: ...

    @property
    def sections(self) -> int: ...


class RunGraph(Protocol):
    """Runs a graph, for one caller at a time."""

    def __call__(self, inputs: list[Tensor], outputs: list[Tensor], /) -> None:
        """Compute the outputs, which are there to be written to; all lie in the host's memory."""


class GraphKernel:
    """A pass as a graph that is ready to run.

    Args:
        each: The pass.
        graph: The graph.
        run: Runs it.
        kept: The dtype of states.
    """

    def __init__(self, each: Pass, graph: TileGraph, run: RunGraph, kept: torch.dtype) -> None:
        self._each, self._graph, self._run, self._kept = each, graph, run, kept
        self._alone = Lock()  # a graph computes one tile at a time, whichever thread asks

    def __call__(self, tile: Tensor, rows: Span, columns: Span, state: TileState, /) -> Tensor:
        body = self._each.body
        cuts = Cuts.of(body, rows, columns, sectioned=self._graph.sections > 1)
        above, before = rows.have.start - cuts.read.y.start, columns.have.start - cuts.read.x.start
        if above or before:
            tile = F.pad(tile, (before, 0, above, 0))
        bounds = torch.tensor(cuts.bounds_of(self._graph.sections), dtype=torch.int64)
        steps, made_of_one = tile.shape[0], self._graph.steps
        frames = steps * made_of_one
        if not self._graph.remembering:
            sections = [self._room(frames, each.made) for each in cuts.sections]
            unused = [self._room(frames, _NOTHING)] * (self._graph.sections - len(sections))
            with self._alone:
                self._run([tile, bounds], [*unused, *sections])
            return _joined(cuts.sections, sections, Region(rows.want, columns.want))
        (section,) = cuts.sections
        made = self._room(frames, section.made)
        y, x = section.want.within(section.made)
        with self._alone:
            shapes = [each.shape for each in body.state_regions(rows, columns, self._each.channels)]
            for step in range(steps):
                before_it = self._states(state, shapes)
                after_it = [torch.empty_like(each) for each in before_it]
                first = step * made_of_one
                after = [made[i : i + 1] for i in range(first, first + made_of_one)]
                self._run([tile[step : step + 1], bounds, *before_it], [*after, *after_it])
                for layer, kept in zip(self._graph.remembering, after_it, strict=True):
                    state.keep(layer, kept)
        return made[:, :, y, x]

    def _room(self, frames: int, region: Region) -> Tensor:
        return torch.empty((frames, self._each.out_channels, *region.shape))

    def _states(self, state: TileState, shapes: list[tuple[int, int, int]]) -> list[Tensor]:
        """What the layers have kept, of these shapes; zeros at the beginning of a video."""
        found = zip(map(state.recall, self._graph.remembering), shapes, strict=True)
        return [
            torch.zeros((1, *shape), dtype=self._kept)
            if kept is None
            else kept.to(self._kept).contiguous()
            for kept, shape in found
        ]


def _joined(sections: Sequence[Section], made: Sequence[Tensor], region: Region) -> Tensor:
    """What is wanted of each section, together (n, C, h, w) over a region."""
    if len(sections) == 1:
        y, x = region.within(sections[0].made)
        return made[0][:, :, y, x]
    whole = made[0].new_empty((*made[0].shape[:2], *region.shape))
    for section, tensor in zip(sections, made, strict=True):
        y, x = section.want.within(section.made)
        there_y, there_x = section.want.within(region)
        whole[:, :, there_y, there_x] = tensor[:, :, y, x]
    return whole
