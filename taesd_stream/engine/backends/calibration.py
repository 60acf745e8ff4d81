"""Eight bits instead of 32: how the layers of a decoder are rounded, found on some latents.

NNCF watches the layers at work and chooses a range for every activation (post-training
quantization). What it finds is kept as a recipe by the layers' names, so that tiles of any kind are
rounded alike and stay exact: the same integers are added up whatever the tile.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

# Nothing that is decoded here is told to anybody: without this, NNCF reports its use.
os.environ.setdefault("NNCF_CI", "1")
import nncf
import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from taesd_stream.engine.backends.graph_cuts import Cuts
from taesd_stream.engine.backends.openvino_graph import TileGraph, graph_of
from taesd_stream.engine.backends.recipe import QuantizedConv, Recipe
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.network import Network
from tiling import Region, Size
from video.safe_files.replacing import replacing

__all__ = ["recipe_for"]

# Of each, so many latents along a side: more would tell little more, and NNCF holds every
# activation of a picture at once.
_MOST_SIDE = 40
_CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData", "GroupConvolution")


def recipe_for(decoder: Network, latents: Sequence[Tensor], cache: Path | None) -> Recipe:
    """Find the recipe for the last and costliest pass of a decoder; others are not in 8 bits.

    Args:
        decoder: In float32, on the CPU.
        latents: (C, h, w) each; of a video in a row.
        cache: A folder for recipes, found again by what they were made from; None keeps none.
    """
    # A step of a video becomes several, all of which are watched.
    most = _MOST_SIDE // 2 if decoder.stateful else _MOST_SIDE
    height = min(most, *(each.shape[1] for each in latents))
    width = min(most, *(each.shape[2] for each in latents))
    read = [_read_by_last_pass(decoder, each, height, width) for each in latents]
    body = decoder.passes[-1].body
    path = None if cache is None else cache / f"{_fingerprint(body, read)}.safetensors"
    if path is not None and path.exists():
        with contextlib.suppress(SafetensorError):  # cut short, perhaps: it is made anew
            return _loaded(path)
    recipe = _found(body, read, decoder.passes[-1].channels)
    if path is not None:
        _save(recipe, path)
    return recipe


def _read_by_last_pass(decoder: Network, latent: Tensor, height: int, width: int) -> Tensor:
    """The middle of what the last pass reads of a picture, (1, C, height, width)."""
    plane = latent[None].to(torch.float32, memory_format=torch.channels_last)
    with torch.inference_mode():
        for each, after in pairwise(decoder.passes):
            seen = Size(*plane.shape[2:])
            made = each.out_plane(seen)
            plane = each.body(plane, *each.spans(Region.whole(made), seen), TileState())
            if after.opening is not None:
                plane = after.opening.plain(plane)
    top, left = (plane.shape[2] - height) // 2, (plane.shape[3] - width) // 2
    return plane[:, :, top : top + height, left : left + width].contiguous()


def _fingerprint(body: Chain, read: Sequence[Tensor]) -> str:
    digest = hashlib.sha256(f"1 {version('nncf')} {version('openvino')}".encode())
    for tensor in (*body.parameters(), *read):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _found(body: Chain, read: Sequence[Tensor], channels: int) -> Recipe:
    plane = Size(*read[0].shape[2:])
    whole = Region.whole(Size(body.out_size(plane.height), body.out_size(plane.width)))
    task = body.span(whole.y, plane.height), body.span(whole.x, plane.width)
    plain = graph_of(body, channels, Recipe())
    logging.getLogger("nncf").setLevel(logging.ERROR)
    # It draws bars on standard output, where others may expect data.
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = nncf.quantize(
            plain.model,
            nncf.Dataset(list(_inputs(plain, body, task, read))),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(read),
        )
    return _recipe_in(quantized)


def _inputs(
    graph: TileGraph, body: Chain, task: tuple[Span, Span], read: Sequence[Tensor]
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """What a graph is given for one step after the other."""
    bounds = np.array(Cuts.of(body, *task).bounds_of(1), np.int64)
    shapes = [each.shape for each in body.state_regions(*task, read[0].shape[1])]
    state = TileState()
    for step in read:
        kept = zip(map(state.recall, graph.remembering), shapes, strict=True)
        states = [torch.zeros(1, *shape) if each is None else each for each, shape in kept]
        yield (step.numpy(), bounds, *(each.contiguous().numpy() for each in states))
        if graph.remembering:
            with torch.inference_mode():
                body(step.contiguous(memory_format=torch.channels_last), *task, state)


def _recipe_in(model: Any) -> Recipe:
    """The recipe that NNCF put into a model whose nodes bear the names of our layers."""
    convs: dict[str, QuantizedConv] = {}
    ranges: dict[str, tuple[float, float]] = {}
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "FakeQuantize":
            low, high = (float(_source(node, index).data) for index in (1, 2))
            ranges[_source(node, 0).get_friendly_name()] = low, high
        elif kind in _CONVOLUTIONS:
            scaled = _source(node, 1)
            if scaled.get_type_name() != "Multiply":
                continue  # left in float
            weight, scale = _source(_source(scaled, 0), 0).data, _source(scaled, 1).data
            name = node.get_friendly_name()
            convs[name] = QuantizedConv(np.array(weight), np.array(scale), _bias_after(node))
    return Recipe(convs, _of_layers(ranges))


def _of_layers(ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The ranges; of all steps that a layer reads, and of its state, the widest of them.

    OpenVINO convolves in 8 bits what lies side by side if zero is the same in all of it.
    """
    read: dict[str, list[str]] = {}
    for name in ranges:
        layer, _, part = name.rpartition("@")[2].partition("+")
        if part in ("cut", "before"):
            read.setdefault(layer, []).append(name)
    widened = dict(ranges)
    for names in read.values():
        widest = max((ranges[name] for name in names), key=lambda bounds: bounds[1] - bounds[0])
        widened |= dict.fromkeys(names, widest)
    return widened


def _source(node: Any, index: int) -> Any:
    return node.input(index).get_source_output().get_node()


def _bias_after(conv: Any) -> Any:
    for target in conv.output(0).get_target_inputs():
        node = target.get_node()
        if node.get_friendly_name() == f"{conv.get_friendly_name()}+bias":
            return np.array(_source(node, 1).data)
    return None


def _save(recipe: Recipe, path: Path) -> None:
    arrays = {f"range {name}": np.array(bounds) for name, bounds in recipe.ranges.items()}
    for name, conv in recipe.convs.items():
        arrays |= {f"weight {name}": conv.weight, f"scale {name}": conv.scale}
        if conv.bias is not None:
            arrays[f"bias {name}"] = conv.bias
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        save_file(arrays, part)


def _loaded(path: Path) -> Recipe:
    arrays = load_file(path)
    ranges = {}
    convs = {}
    for key, array in arrays.items():
        kind, _, name = key.partition(" ")
        if kind == "range":
            ranges[name] = float(array[0]), float(array[1])
        elif kind == "weight":
            bias = arrays.get(f"bias {name}")
            convs[name] = QuantizedConv(array, arrays[f"scale {name}"], bias)
    return Recipe(convs, ranges)
