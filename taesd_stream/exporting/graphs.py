"""Networks as whole ONNX models, with names and shapes for other programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, ValueInfoProto, helper

from taesd_stream.engine.backends.onnx_graph import Emitter
from taesd_stream.engine.backends.onnx_nodes import Nodes
from taesd_stream.exporting.ports import IMAGES, LATENTS, Dims, Planes, frames_per_step
from taesd_stream.models import Network
from tiling import Size

__all__ = ["model_of", "shapes_of"]


def model_of(
    network: Network,
    facts: Mapping[str, str],
    *,
    dtype: npt.DTypeLike = np.float32,
    static: Size | None = None,
) -> ModelProto:
    """The ONNX model of an encoder or a decoder.

    One for pictures reads and makes (N, C, h, w). One for videos goes a step at a time: a decoder
    reads a latent of each of N videos, (N, C, h, w), and makes frames, (N, T, 3, H, W); an encoder
    the other way round. What layers remember are further inputs and outputs, each (N, C, h, w).

    Args:
        network: With its weights, in any dtype, on any device.
        facts: The metadata.
        dtype: Of weights, inputs and outputs: float32 or float16.
        static: Height and width that it reads, where it is for one picture of that size.
    """
    decodes = network.decodes
    nodes = Nodes(dtype)
    source, result = (LATENTS, IMAGES) if decodes else (IMAGES, LATENTS)
    is_video = bool(network.stateful)
    steps, frames = [source], frames_per_step(network)
    if is_video and not decodes:
        steps = _taken_apart(nodes, source, frames)
    emitter = Emitter(nodes)
    made = emitter.emit(network.local_layers, steps, network.channels)
    if is_video and decodes:
        _put_together(nodes, made, result)
    else:
        nodes.rename(made[0], result)
    planes, memories = Planes(network, static), emitter.memories
    read, written = planes.read(), planes.made()
    if is_video:
        read, written = (
            (read, _of_frames(written, frames)) if decodes else (_of_frames(read, frames), written)
        )
    shapes = list(planes.memories())
    befores = [(each.before, dims) for each, dims in zip(memories, shapes, strict=True)]
    afters = [(each.after, dims) for each, dims in zip(memories, shapes, strict=True)]
    model = nodes.model(
        f"{facts['model']} {facts['half']}",
        _values(nodes, [(source, read), *befores]),
        _values(nodes, [(result, written), *afters]),
        producer_name="taesd-stream",
        producer_version=facts["taesd_stream"],
    )
    helper.set_model_props(model, dict(facts))
    return model


def shapes_of(values: Iterable[ValueInfoProto]) -> dict[str, Dims]:
    """The shapes of a graph's inputs or outputs, by name."""
    return {
        value.name: tuple(
            each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim
        )
        for value in values
    }


def _taken_apart(nodes: Nodes, source: str, frames: int) -> list[str]:
    """The frames, (N, 3, H, W) each, of (N, T, 3, H, W)."""
    parts = nodes.split(source, "frames", frames, axis=1) if frames > 1 else [source]
    axis = nodes.integers(1)
    return [
        nodes.add("Squeeze", [part, axis], f"frame@{index}") for index, part in enumerate(parts)
    ]


def _put_together(nodes: Nodes, frames: Sequence[str], name: str) -> None:
    """(N, T, 3, H, W) of frames, (N, 3, H, W) each."""
    axis = nodes.integers(1)
    parts = [
        nodes.add("Unsqueeze", [frame, axis], f"frame@{index}")
        for index, frame in enumerate(frames)
    ]
    if len(parts) == 1:
        nodes.rename(parts[0], name)
    else:
        nodes.add("Concat", parts, name, axis=1)


def _of_frames(dims: Dims, frames: int) -> Dims:
    batch, *rest = dims
    return (batch, frames, *rest)


def _values(nodes: Nodes, named: Sequence[tuple[str, Dims]]) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(name, nodes.kind, dims) for name, dims in named]
