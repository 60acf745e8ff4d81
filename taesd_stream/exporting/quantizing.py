"""Graphs of decoders in 8 bits, by ONNX Runtime's static quantization."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor

from taesd_stream.exporting.graphs import model_of
from taesd_stream.exporting.ports import IMAGES, LATENTS, Planes
from taesd_stream.models import Network
from tiling import Size

__all__ = ["quantized"]

_Array: TypeAlias = npt.NDArray[np.float32]
_Arrays: TypeAlias = dict[str, _Array]

# Of each latent, so many along a side, from its middle: more would tell little more.
_MOST_SIDE = 40
_MOST_SIDE_OF_VIDEO = 20
# Decibels have no end where nothing differs.
_NO_ERROR = 1e-12
_ROUNDED = ("Conv", "Add", "Relu", "Resize", "Concat", "DepthToSpace")


def quantized(
    network: Network, facts: Mapping[str, str], latents: Sequence[Tensor], static: Size | None
) -> tuple[ModelProto, float]:
    """A decoder with weights and activations in 8 bits, its inputs and outputs in float32.

    The first convolution and the last stay in float32, as does what sees the whole plane: there
    rounding costs more than it saves.

    Args:
        facts: The metadata.
        latents: (C, h, w) each, in the network's scale, to find the ranges of activations with; of
            a video in a row.
        static: As of ``model_of``.

    Returns:
        The model, and the decibels of what it makes of these latents against float32.
    """
    plain = model_of(network, facts)
    steps = list(_steps(network, plain, latents))
    convolutions = [node.name for node in plain.graph.node if node.op_type == "Conv"]
    exact = {convolutions[0], convolutions[-1]}
    exact |= {node.name for node in plain.graph.node if ".pool." in node.name}
    with TemporaryDirectory() as folder, _without_advice():
        path = Path(folder, "model.onnx")
        quantize_static(
            plain,
            path,
            _Reader([given for given, _ in steps]),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(_ROUNDED),
            nodes_to_exclude=sorted(exact),
        )
        rounded = onnx.load(path)
    # With the names, shapes and metadata that are ours.
    made = model_of(network, facts, static=static)
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.extend(rounded.graph.node)
    made.graph.initializer.extend(rounded.graph.initializer)
    session = _session(rounded)
    errors = [
        np.square(session.run([IMAGES], given)[0].clip(0, 1) - images.clip(0, 1)).mean()
        for given, images in steps
    ]
    return made, -10 * math.log10(max(float(np.mean(errors)), _NO_ERROR))


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Inputs one after the other, as the quantizer asks for them."""

    def __init__(self, given: Sequence[_Arrays]) -> None:
        self._given = iter(given)

    def get_next(self) -> _Arrays | None:
        return next(self._given, None)


def _steps(
    network: Network, model: ModelProto, latents: Sequence[Tensor]
) -> Iterator[tuple[_Arrays, _Array]]:
    """All inputs of one step after the other, and the images that it makes of them in float32."""
    most = _MOST_SIDE_OF_VIDEO if network.stateful else _MOST_SIDE
    height, width = (min(most, *(each.shape[axis] for each in latents)) for axis in (1, 2))
    shapes = Planes(network, Size(height, width)).memories()
    memories = {
        f"memory_{index}": np.zeros([*map(int, each)], np.float32)
        for index, each in enumerate(shapes)
    }
    session = _session(model)
    outputs = [each.name for each in model.graph.output]
    for latent in latents:
        top, left = (latent.shape[1] - height) // 2, (latent.shape[2] - width) // 2
        part = latent[None, :, top : top + height, left : left + width].float()
        given = {LATENTS: part.contiguous().numpy(), **memories}
        made = dict(zip(outputs, session.run(outputs, given), strict=True))
        yield given, made[IMAGES]
        memories = {name: made[f"next_{name}"] for name in memories}


def _session(model: ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Inside it, nothing is logged by the root logger itself, to which the quantizer writes.

    Without a handler, its first warning would set one up for the whole process.
    """
    root, none = logging.getLogger(), logging.NullHandler()
    root.addHandler(none)
    root.addFilter(_silent)
    try:
        yield
    finally:
        root.removeFilter(_silent)
        root.removeHandler(none)


def _silent(record: logging.LogRecord) -> bool:
    return False
