"""A network: passes over a plane, each of them a chain of layers with a bounded footprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from taesd_stream.models.layers.canvas import Canvas
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.convolving import Convolving
from taesd_stream.models.layers.enlarging import EnlargingConv, fuse_enlarging
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.temporal import TimeGrow
from tiling import WHOLE, Footprint, Grid, Interval, Region, Size, View, halo, reads, scale

__all__ = ["Network"]


class Network(nn.Module):
    """An encoder or a decoder.

    Args:
        layers: In the order in which they are run, under their numbers in the official checkpoint.
        channels: Channels that it reads.

    Attributes:
        numbered: The layers in the order in which they are run, under their numbers.
        passes: The runs over the plane, in order; in them, some layers are made one.
        stateful: The layers that keep a state from time step to time step, by their numbers.
    """

    def __init__(self, layers: Mapping[int, Layer], channels: int) -> None:
        super().__init__()
        self.channels = channels
        for number, layer in layers.items():
            self.add_module(str(number), layer)
        self.numbered = tuple((str(number), layer) for number, layer in layers.items())
        self.passes = tuple(_split(fuse_enlarging(tuple(layers.values())), channels))
        self.stateful = {str(n): layer for n, layer in layers.items() if layer.kept_steps}
        self._canvases = lru_cache(maxsize=256)(self._find_canvases)
        if self.stateful and len(self.passes) > 1:
            raise TypeError("layers with a state and global branches do not go together")

    @cached_property
    def takes_pictures_apart(self) -> bool:
        """Whether a tile waits for nothing but its own picture: no step before, no other pass."""
        return len(self.passes) == 1 and not self.stateful

    @cached_property
    def out_channels(self) -> int:
        """Channels that it writes."""
        return self.passes[-1].out_channels

    @cached_property
    def footprints(self) -> tuple[Footprint, ...]:
        """The footprints of all bounded layers, in order."""
        return tuple(f for each in self.passes for f in each.body.footprints())

    @cached_property
    def scale(self) -> tuple[int, int]:
        """Output elements (first) per input elements (second), along an axis."""
        return scale(self.footprints)

    @cached_property
    def decodes(self) -> bool:
        """Whether it makes pictures of latents, and not latents of pictures."""
        return self.scale[1] == 1

    @cached_property
    def rate(self) -> tuple[int, int]:
        """Output steps (first) per input steps (second), along time."""
        return scale(self._times)

    @cached_property
    def _times(self) -> tuple[Footprint, ...]:
        return tuple(f for each in self.passes for f in each.body.times())

    def reads_steps(self, made: Interval) -> Interval:
        """The input steps that output steps are made of, borders not considered."""
        return reads(self._times, made)

    @cached_property
    def halo(self) -> int | None:
        """Latents that a tile needs around it; None where no finite halo is exact."""
        if len(self.passes) > 1:
            return None
        _, down = self.scale
        return -(-halo(self.footprints) // down)

    def latent_plane(self, plane: Size) -> Size:
        """Height and width in latents of a picture whose input plane this is."""
        return plane if self.decodes else self.out_plane(plane)

    def canvases(
        self, plane: Size, tile: Size, view: View = WHOLE, *, continued: bool = False
    ) -> tuple[Canvas, ...]:
        """The canvas that every pass is run over, in tiles of at most ``tile`` latents.

        Every pass but the last makes all of its output: the next one opens with a branch that has
        to have seen it.

        Args:
            view: Which part of the output is wanted, and where the plane goes around.
            continued: Whether every tile of a row goes on where the one to its left ended.
        """
        return self._canvases(plane, tile, view, continued)

    def _find_canvases(
        self, plane: Size, tile: Size, view: View, continued: bool
    ) -> tuple[Canvas, ...]:
        latents = self.latent_plane(plane)
        made = []
        for each in self.passes:
            out = each.out_plane(plane)
            read_cell, cell = plane.height // latents.height, out.height // latents.height
            # As many latents as its layers may read past a border of its output.
            margin = view.margin(-(-halo(tuple(each.body.footprints())) // read_cell))
            around = margin.scale(read_cell)
            cells = Region.whole(latents)
            if view.crop is not None and each is self.passes[-1]:
                cells = view.crop.divide(cell)
            cells = cells.shift(margin.height, margin.width)
            made.append(
                Canvas(
                    plane=Size(plane.height + 2 * around.height, plane.width + 2 * around.width),
                    grid=Grid.over(cells, tile, cell, continued=continued),
                    read_before=around,
                    made_before=margin.scale(cell),
                )
            )
            plane = out
        return tuple(made)

    def out_plane(self, plane: Size) -> Size:
        """The plane that it makes of ``plane``."""
        for each in self.passes:
            plane = each.out_plane(plane)
        return plane

    def plain(self, tensor: Tensor) -> Tensor:
        """All that it makes of a whole input, (N, C, h, w), in plain differentiable PyTorch."""
        for _, layer in self.numbered:
            tensor = layer.plain(tensor)
        return tensor

    def fit(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A checkpoint's weights, cut to what this network needs of them.

        Where a checkpoint makes more time steps than the network, the last ones are taken.
        """
        fitted = dict(state)
        for name, layer in self.named_children():
            key = f"{name}.conv.weight"
            if isinstance(layer, TimeGrow) and key in fitted:
                needed, found = layer.conv.weight.shape, fitted[key].shape
                if found[1:] == needed[1:] and found[0] % needed[0] == 0:
                    fitted[key] = fitted[key][-needed[0] :]
        return fitted

    def fold(self) -> None:
        """Prepare loaded weights, once for all: they must not change afterwards."""
        for each in self.passes:
            for layer in each.body.modules():
                if isinstance(layer, Layer):
                    layer.fold()

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Bring the weights to a device and a dtype, in the memory format that is computed in."""
        self.to(device, dtype)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def order_weights(self) -> None:
        """Bring folded weights into the order of kernels, where they are not in it yet.

        Else it would be done by the first tile, whose memory is measured and planned.
        """
        layers = [layer for each in self.passes for layer in each.body.modules()]
        inside = {layer.conv for layer in layers if isinstance(layer, EnlargingConv)}
        for layer in layers:
            if isinstance(layer, Convolving) and layer not in inside:
                _ = layer.convolution

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The official names of the weights, with their shapes."""
        return {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}


def _split(layers: Sequence[Layer], channels: int) -> list[Pass]:
    """Cut the layers before each block that opens with a global branch."""
    passes: list[Pass] = []
    pool: GlobalPool | None = None
    body: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Residual) and layer.pool is not None:
            passes.append(Pass(pool, Chain(body), channels))
            channels = passes[-1].out_channels
            pool, body = layer.pool, []
        body.append(layer)
    return [*passes, Pass(pool, Chain(body), channels)]
