"""OpenVINO's kernels for CPUs: compiled once for every kind of tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from threading import Lock

import numpy as np
import openvino as ov
import torch
from torch import Tensor

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.engine.backends.openvino_graph import Recipe, Task, switch_of
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.span import Kind, Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["OpenVinoBackend"]

# The precision that the kernels may compute in; 8 bits are chosen node by node, by a recipe.
_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.int8: "f32"}


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
    """Compiles the layers of one network for every kind of tile.

    Tiles differ in kind where they lie at other borders; those inside are all of one kind. All
    kinds of a grid are one compiled model, so that they share the memory for activations.

    Args:
        dtype: float32, bfloat16, or int8, which needs ``recipes``.
        cache: A folder for what is compiled, so that the next process need not; None keeps nothing.
        recipes: How to compute the layers in 8 bits, for those that are to be.
    """

    evens_tiles = True
    records = False

    def __init__(
        self,
        dtype: torch.dtype,
        cache: Path | None = None,
        recipes: Mapping[torch.nn.Module, Recipe] | None = None,
    ) -> None:
        self._core = _openvino_core()
        self._kept: dict[Pass, _Kernel] = {}
        self._recipes = recipes or {}
        self.rounding = ", ".join(each.digest() for each in self._recipes.values()) or "none"
        self._options: dict[str, object] = {
            "INFERENCE_PRECISION_HINT": _HINTS[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        if cache is not None:
            self._options["CACHE_DIR"] = str(cache)

    def kernel(
        self, each: Pass, rows: Iterable[Span], columns: Iterable[Span], room_bytes: int = 0
    ) -> Kernel:
        """The kernel of a pass for the tiles of a grid; it is compiled when it is first run.

        The last one of every pass is kept, with the memory for its activations, for the next
        picture of that size.
        """
        expected = tuple(rows), tuple(columns)
        kept = self._kept.get(each)
        if kept is None or kept.expected != expected:
            self._kept.pop(each, None)  # before there is another
            recipe = self._recipes.get(each.body, Recipe())
            self._kept[each] = _Kernel(self._core, self._options, each, recipe, expected)
        return self._kept[each]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A model for several kinds of tiles.

    Attributes:
        request: Runs it.
        indices: The kinds, by their places along both axes.
        shape: What it reads; smaller tiles have zeros after their end.
    """

    request: ov.InferRequest
    indices: Mapping[tuple[Kind, Kind], int]
    shape: tuple[int, int, int, int]


class _Kernel:
    """The layers of a pass, compiled for the kinds of tiles of a grid, and for others as needed."""

    def __init__(
        self,
        core: ov.Core,
        options: Mapping[str, object],
        each: Pass,
        recipe: Recipe,
        expected: tuple[tuple[Span, ...], tuple[Span, ...]],
    ) -> None:
        self._core, self._options = core, options
        self._each, self._recipe, self.expected = each, recipe, expected
        self._scale = each.scale
        self._compiled: dict[int, list[_Compiled]] = {}
        self._alone = Lock()  # a request computes one tile at a time, whichever thread asks

    def __call__(self, tile: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        kind = self._kind((rows, columns))
        channels = self._each.body.out_channels(self._each.channels)
        shape = (tile.shape[0], channels, rows.want.size, columns.want.size)
        made = torch.empty(shape, dtype=torch.float32)
        with self._alone:
            compiled = self._compiled_for(tile.shape[0], kind, (rows, columns))
            inputs = [_filled(tile, compiled.shape)]
            if len(compiled.indices) > 1:
                inputs.insert(0, np.array(compiled.indices[kind], np.int32))
            request = compiled.request
            request.set_output_tensor(0, ov.Tensor(made.numpy(), shared_memory=True))
            request.infer(dict(enumerate(inputs)), share_inputs=True)
        return made

    def _kind(self, task: Task) -> tuple[Kind, Kind]:
        rows, columns = task
        return rows.kind(self._scale), columns.kind(self._scale)

    def _compiled_for(self, batch: int, kind: tuple[Kind, Kind], task: Task) -> _Compiled:
        if batch not in self._compiled:
            tasks = {self._kind(expected): expected for expected in product(*self.expected)}
            tasks.setdefault(kind, task)
            self._compiled[batch] = [self._compile(batch, tasks)]
        for compiled in self._compiled[batch]:
            if kind in compiled.indices:
                return compiled
        self._compiled[batch].append(self._compile(batch, {kind: task}))
        return self._compiled[batch][-1]

    def _compile(self, batch: int, tasks: Mapping[tuple[Kind, Kind], Task]) -> _Compiled:
        body, channels = self._each.body, self._each.channels
        build = switch_of(body, tuple(tasks.values()), batch, channels, self._recipe)
        shape = tuple(build.get_parameters()[-1].get_shape())
        request = self._core.compile_model(build, "CPU", self._options).create_infer_request()
        return _Compiled(request, {kind: index for index, kind in enumerate(tasks)}, shape)


def _filled(tile: Tensor, shape: tuple[int, int, int, int]) -> np.ndarray:
    """A tile as the array that a model reads, with zeros after its end."""
    if tile.shape == shape:
        return tile.contiguous().numpy()
    given = np.zeros(shape, np.float32)
    given[:, :, : tile.shape[2], : tile.shape[3]] = tile.numpy()
    return given
