"""OpenVINO's kernels for CPUs: one compiled graph for every tile of a pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import openvino as ov
import torch
from torch import Tensor

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.engine.backends.graph_cuts import SECTIONS
from taesd_stream.engine.backends.graph_kernels import GraphKernel
from taesd_stream.engine.backends.openvino_graph import graph_of
from taesd_stream.engine.backends.recipe import Recipe
from taesd_stream.models.layers.passes import Pass

__all__ = ["OpenVinoBackend"]

# The precision that the kernels may compute in; 8 bits are chosen node by node, by a recipe.
_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.int8: "f32"}
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
        self._kernels: dict[Pass, Kernel] = {}
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
            run = _Request(compiled.create_infer_request())
            self._kernels[each] = GraphKernel(each, graph, run, self._kept)
        return self._kernels[each]


class _Request:
    """Runs what was compiled."""

    def __init__(self, request: ov.InferRequest) -> None:
        self._request = request

    def __call__(self, inputs: list[Tensor], outputs: list[Tensor], /) -> None:
        held = [*map(_shared, inputs)], [*map(_shared, outputs)]  # the request holds no array
        for index, each in enumerate(held[0]):
            self._request.set_input_tensor(index, each)
        for index, each in enumerate(held[1]):
            self._request.set_output_tensor(index, each)
        self._request.infer()


def _shared(tensor: Tensor) -> ov.Tensor:
    """A tensor as OpenVINO takes it, of the same memory where that is contiguous."""
    array = tensor.contiguous()
    if tensor.dtype != torch.bfloat16:
        return ov.Tensor(array.numpy(), shared_memory=True)
    bits = array.view(torch.uint16).numpy()
    return ov.Tensor(bits, ov.Shape(list(tensor.shape)), ov.Type.bf16)
