"""OpenVINO as anybody would use it: the plain decoder converted for one size, undivided."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import openvino
import torch
from torch import Tensor

from benchmarks.absent import Unavailable
from benchmarks.cases import Case
from benchmarks.decoders.decoder import Decoder
from benchmarks.weights import SCALE

__all__ = ["open_openvino"]

# What is not quantized is left to OpenVINO's own choice.
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16", "int8": "INT8"}


def open_openvino(case: Case, pixels: int, threads: int) -> Decoder:
    """The whole network compiled for pictures of ``pixels`` a side.

    Raises:
        Unavailable: This processor has no such precision.
    """
    from benchmarks.decoders.convert import converted

    core = openvino.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    wanted = _CAPABILITIES[case.precision]
    if wanted not in able:
        raise Unavailable(f"OpenVINO has no {wanted} on this processor, only {', '.join(able)}")
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    if case.precision in _HINTS:
        options["INFERENCE_PRECISION_HINT"] = _HINTS[case.precision]
    with tempfile.TemporaryDirectory() as folder:
        path = converted(case.precision, pixels // SCALE, Path(folder))
        compiled = core.compile_model(str(path), "CPU", options)
    request = compiled.create_infer_request()

    def decode(z: Tensor) -> Tensor:
        made = request.infer([z.numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(made[0])

    return Decoder(decode, detail=str(options))
