"""ONNX Runtime's kernels: one session for every tile of a pass, on whichever provider is named."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.engine.backends.graph_kernels import GraphKernel
from taesd_stream.engine.backends.onnx_tiles import tile_graph
from taesd_stream.models.layers.passes import Pass

__all__ = ["OnnxBackend"]

_ERRORS_ONLY = 3


class OnnxBackend:
    """Opens sessions for the layers of one network, in float32.

    Args:
        providers: Of ONNX Runtime, in the order in which they are asked for each operator.
    """

    rounding = "none"
    records = False

    def __init__(self, providers: Sequence[str]) -> None:
        self._providers = list(providers)
        self._kernels: dict[Pass, Kernel] = {}
        self._alone = Lock()  # two threads would each open a session
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = torch.get_num_threads()
        self._options.log_severity_level = _ERRORS_ONLY
        # Tiles are of many sizes: what is kept of one would be held beside that of the next.
        self._options.enable_cpu_mem_arena = False
        self._options.enable_mem_pattern = False

    def kernel(self, each: Pass, room_bytes: int = 0) -> Kernel:
        """The kernel of a pass; its session is opened when it is first asked for."""
        with self._alone:
            if each not in self._kernels:
                self._kernels[each] = self._opened(each)
            return self._kernels[each]

    def _opened(self, each: Pass) -> Kernel:
        graph = tile_graph(each.body, each.channels)
        session = onnxruntime.InferenceSession(
            graph.model.SerializeToString(), self._options, providers=self._providers
        )
        return GraphKernel(each, graph, _Session(session), torch.float32)


class _Session:
    """Runs a graph on memory of ours."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = [each.name for each in session.get_inputs()]
        self._outputs = [each.name for each in session.get_outputs()]

    def __call__(self, inputs: list[Tensor], outputs: list[Tensor], /) -> None:
        binding = self._session.io_binding()
        held = [each.contiguous() for each in inputs]  # the binding holds addresses
        for name, tensor in zip(self._inputs, held, strict=True):
            binding.bind_input(name, *_place(tensor))
        for name, tensor in zip(self._outputs, outputs, strict=True):
            binding.bind_output(name, *_place(tensor))
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()


def _place(tensor: Tensor) -> tuple[str, int, type[np.generic], list[int], int]:
    """Where a tensor lies, as bindings want it told."""
    kind = np.int64 if tensor.dtype == torch.int64 else np.float32
    return "cpu", 0, kind, list(tensor.shape), tensor.data_ptr()
