"""OpenVINO's kernels for CPUs: one compiled graph for every tile of a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

import openvino as ov
import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.engine.backends.openvino_cuts import SECTIONS, Cuts, Section
from taesd_stream.engine.backends.openvino_graph import TileGraph, graph_of
from taesd_stream.engine.backends.recipe import Recipe
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import Interval, Region

__all__ = ["OpenVinoBackend"]

# The precision that the kernels may compute in; 8 bits are chosen node by node, by a recipe.
_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.int8: "f32"}
_NOTHING = Region(Interval(0, 0), Interval(0, 0))
_TYPES = {torch.float32: ov.Type.f32, torch.bfloat16: ov.Type.bf16}


@lru_cache(maxsize=1)
def _openvino_core() -> ov.Core:
    """OpenVINO itself, once for the process and never let go.

    Its CPU plugin gives the thread that loads it another stack for signals and, when the last that
    was compiled with it is gone, sets back the one from before. Of two that do not go in the
    reverse order of their coming, the later sets back what the earlier has freed, and the next
    Ctrl-C ends the process with a segmentation fault (seen with OpenVINO 2026.4).
    """
    return ov.Core()


class OpenVinoBackend:
    """Compiles the layers of one network.

    Args:
        dtype: float32, bfloat16, or int8, which needs ``recipes``.
        cache: A folder for what is compiled, so that the next process need not; None keeps nothing.
        recipes: How to compute the layers in 8 bits, for those that are to be.
    """

    records = False

    def __init__(
        self,
        dtype: torch.dtype,
        cache: Path | None = None,
        recipes: Mapping[torch.nn.Module, Recipe] | None = None,
    ) -> None:
        self._core = _openvino_core()
        self._kernels: dict[Pass, _Kernel] = {}
        self._recipes = recipes or {}
        self._kept = torch.bfloat16 if dtype == torch.bfloat16 else torch.float32
        self.rounding = ", ".join(each.digest() for each in self._recipes.values()) or "none"
        self._options: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": _HINTS[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        if cache is not None:
            self._options["CACHE_DIR"] = str(cache)

    def kernel(self, each: Pass, room_bytes: int = 0) -> Kernel:
        """The kernel of a pass; it is compiled when it is first run, with room for what it runs."""
        if each not in self._kernels:
            recipe = self._recipes.get(each.body)
            graph = graph_of(
                each.body, each.channels, recipe, kept=_TYPES[self._kept], sections=SECTIONS**2
            )
            compiled = self._core.compile_model(graph.model, "CPU", self._options)
            self._kernels[each] = _Kernel(each, graph, compiled.create_infer_request(), self._kept)
        return self._kernels[each]


class _Kernel:
    """A pass, compiled.

    Args:
        each: The pass.
        graph: What was compiled.
        request: Runs it.
        kept: The dtype of states.
    """

    def __init__(
        self, each: Pass, graph: TileGraph, request: ov.InferRequest, kept: torch.dtype
    ) -> None:
        self._each, self._graph, self._request, self._kept = each, graph, request, kept
        self._alone = Lock()  # a request computes one tile at a time, whichever thread asks

    def __call__(self, tile: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        body = self._each.body
        cuts = Cuts.of(body, rows, columns)
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

    def _run(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        held = [*map(_shared, inputs)], [*map(_shared, outputs)]  # the request holds no array
        for index, each in enumerate(held[0]):
            self._request.set_input_tensor(index, each)
        for index, each in enumerate(held[1]):
            self._request.set_output_tensor(index, each)
        self._request.infer()


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


def _shared(tensor: Tensor) -> ov.Tensor:
    """A tensor as OpenVINO takes it, of the same memory where that is contiguous."""
    array = tensor.contiguous()
    if tensor.dtype != torch.bfloat16:
        return ov.Tensor(array.numpy(), shared_memory=True)
    bits = array.view(torch.uint16).numpy()
    return ov.Tensor(bits, ov.Shape(list(tensor.shape)), ov.Type.bf16)
