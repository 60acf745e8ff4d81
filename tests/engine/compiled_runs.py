"""Networks run tile by tile as graphs, without a model around them."""

from __future__ import annotations

import torch
from torch import Tensor

from taesd_stream.engine.backends import Backend
from taesd_stream.engine.backends.onnx_kernels import OnnxBackend
from taesd_stream.engine.backends.openvino_kernels import OpenVinoBackend
from taesd_stream.engine.backends.recipe import Recipe
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.settings import Settings
from taesd_stream.models.network import Network
from tests.plans import plan_for
from tiling import Size

__all__ = ["run_by_onnxruntime", "run_by_openvino"]


def run_by_openvino(
    network: Network, source: Tensor, tile: tuple[int, int], recipe: Recipe | None = None
) -> Tensor:
    """What a network makes of (N, C, h, w), in float32, or in 8 bits by a recipe."""
    dtype = torch.float32 if recipe is None else torch.int8
    recipes = None if recipe is None else {network.passes[-1].body: recipe}
    settings = Settings(torch.device("cpu"), dtype, "openvino")
    return _run(network, source, tile, settings, OpenVinoBackend(dtype, recipes=recipes))


def run_by_onnxruntime(network: Network, source: Tensor, tile: tuple[int, int]) -> Tensor:
    """What a network makes of (N, C, h, w)."""
    settings = Settings(torch.device("cpu"), torch.float32, "onnxruntime")
    return _run(network, source, tile, settings, OnnxBackend(["CPUExecutionProvider"]))


def _run(
    network: Network, source: Tensor, tile: tuple[int, int], settings: Settings, backend: Backend
) -> Tensor:
    out, (up, down) = network.out_plane(Size(*source.shape[2:])), network.rate
    made = torch.full(
        (len(source) * up // down, network.out_channels, out.height, out.width), torch.nan
    )
    for block, part in Executor(network, settings, plan_for(network, Size(*tile)), backend).run(
        source
    ):
        steps, y, x = block.slices
        made[steps, :, y, x] = part
    return made
