"""A network: passes over planes, each of them a chain of layers with a bounded footprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache

import torch
from torch import Tensor, nn

from taesd_stream.models.cutting import cut_into_passes
from taesd_stream.models.layers.attention import Attention
from taesd_stream.models.layers.canvas import Canvas, coarser_tile
from taesd_stream.models.layers.convolving import Convolving
from taesd_stream.models.layers.enlarging import EnlargingConv
from taesd_stream.models.layers.global_layer import Divided
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.temporal import TimeGrow
from taesd_stream.models.pass_scales import cells_of, times_as_wide
from taesd_stream.models.plane_uses import PlaneUse, plane_uses
from taesd_stream.models.shortcuts import EXACT, Shortcuts
from tiling import WHOLE, Footprint, Grid, Interval, Region, Size, View, halo, reads, scale

__all__ = ["Network"]


class Network(nn.Module):
    """An encoder or a decoder.

    Args:
        layers: In the order in which they are run, under their numbers or names in the official
            checkpoint; a name may have dots, where it is inside of others.
        channels: Channels that it reads.
        shortcuts: What is not computed as the layers say.
        in_chunks: Whether frames that come together are made together, each of all of them.

    Attributes:
        numbered: The layers in the order in which they are run, under their numbers or names.
        passes: The runs over the plane, in order; in them, some layers are made one.
        stateful: The layers that keep a state from time step to time step, by their numbers.
    """

    def __init__(
        self,
        layers: Mapping[int, Layer] | Mapping[str, Layer | Divided],
        channels: int,
        shortcuts: Shortcuts = EXACT,
        *,
        in_chunks: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.shortcuts, self.in_chunks = channels, shortcuts, in_chunks
        self.numbered = tuple((str(number), layer) for number, layer in layers.items())
        for name, layer in self.numbered:
            self._put(name, layer)
        self.passes = cut_into_passes((layer for _, layer in self.numbered), channels, shortcuts)
        self.stateful = {
            name: layer
            for name, layer in self.numbered
            if isinstance(layer, Layer) and layer.kept_steps
        }
        self._canvases = lru_cache(maxsize=256)(self._find_canvases)
        if self.stateful and len(self.passes) > 1:
            raise TypeError("layers with a state and global branches do not go together")

    def _put(self, name: str, layer: nn.Module) -> None:
        """Put a layer under its name, in modules for what stands before dots in it."""
        *inside, last = name.split(".")
        home: nn.Module = self
        for part in inside:
            if part not in home._modules:
                home.add_module(part, nn.Module())
            home = home.get_submodule(part)
        home.add_module(last, layer)

    @cached_property
    def local_layers(self) -> tuple[tuple[str, Layer], ...]:
        """The layers with their names; none, if some of them have to have seen whole planes."""
        local = tuple((name, each) for name, each in self.numbered if isinstance(each, Layer))
        return local if len(local) == len(self.numbered) else ()

    @cached_property
    def takes_pictures_apart(self) -> bool:
        """Whether a tile waits for nothing but its own picture: no step before, no other pass."""
        return len(self.passes) == 1 and not self.stateful and not self.in_chunks

    @property
    def sees_other_steps(self) -> bool:
        """Whether what it makes of a step depends on others of its video."""
        return self.in_chunks or bool(self.stateful)

    @cached_property
    def draws(self) -> bool:
        """Whether it makes something of noise, which a seed decides on."""
        return any(number < 0 for each in self.passes for number in each.reads)

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
        """Output elements (first) per input elements (second), along an axis, in lowest terms."""
        return Fraction(*scale(self.footprints)).as_integer_ratio()

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
        latents = Region.whole(self.latent_plane(plane))
        made = []
        for each, (read_cell, cell), coarser in zip(
            self.passes, self._cells, self._coarser, strict=True
        ):
            out = each.out_plane(plane)
            # As many latents as its layers may read past a border of its output.
            margin = view.margin(-(-halo(tuple(each.body.footprints())) // read_cell))
            around = margin.scale(read_cell)
            cells = Region.whole(out).divide(cell)
            if view.crop is not None and each is self.passes[-1]:
                cells = view.crop.divide(cell)
            cells = cells.shift(margin.height, margin.width)
            own_tile = coarser_tile(tile, coarser, latents.shape)
            made.append(
                Canvas(
                    plane=Size(plane.height + 2 * around.height, plane.width + 2 * around.width),
                    grid=Grid.over(cells, own_tile, cell, continued=continued),
                    read_before=around,
                    made_before=margin.scale(cell),
                )
            )
            plane = out
        return tuple(made)

    @cached_property
    def _cells(self) -> tuple[tuple[int, int], ...]:
        return cells_of(self.passes, self.scale)

    @cached_property
    def _coarser(self) -> tuple[int, ...]:
        return times_as_wide(self.passes, self._cells)

    @cached_property
    def uses(self) -> tuple[PlaneUse, ...]:
        """The planes that there are during every pass."""
        return plane_uses(self.passes)

    @property
    def goes_straight(self) -> bool:
        """Whether every pass reads what the one before it has made, and nothing else."""
        return all(each.adds is None and each.keeps for each in self.passes)

    def attention_of(self, works: Sequence[int]) -> float:
        """The share of attention in the work of all passes, of which this is the work of each."""
        shares = zip(self.passes, works, strict=True)
        attention = sum(work for each, work in shares if isinstance(each.opening, Attention))
        return attention / max(1, sum(works))

    def out_plane(self, plane: Size) -> Size:
        """The plane that it makes of ``plane``."""
        for each in self.passes:
            plane = each.out_plane(plane)
        return plane

    def plane_sizes(self, plane: Size) -> dict[int, int]:
        """Elements of the plane that each pass makes, by its number, counted from 1."""
        sizes = {}
        for number, each in enumerate(self.passes, 1):
            plane = each.out_plane(plane)
            sizes[number] = plane.area * each.out_channels
        return sizes

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
        for name, layer in self.numbered:
            key = f"{name}.conv.weight"
            if isinstance(layer, TimeGrow) and key in fitted:
                needed, found = layer.conv.weight.shape, fitted[key].shape
                if found[1:] == needed[1:] and found[0] % needed[0] == 0:
                    fitted[key] = fitted[key][-needed[0] :]
        return fitted

    def fold(self) -> None:
        """Prepare loaded weights, once for all: they must not change afterwards."""
        for layer in self._computed:
            layer.fold()

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Bring the weights to a device and a dtype, in the memory format that is computed in."""
        self.to(device, dtype)
        for weight in self.parameters():
            if weight.dim() == 4:
                weight.data = weight.data.to(memory_format=torch.channels_last)

    def order_weights(self) -> None:
        """Bring folded weights into the order of kernels, where they are not in it yet.

        Else it would be done by the first tile, whose memory is measured and planned.
        """
        layers = self._computed
        inside = {layer.conv for layer in layers if isinstance(layer, EnlargingConv)}
        for layer in layers:
            if isinstance(layer, Convolving) and layer not in inside:
                _ = layer.convolution

    @property
    def _computed(self) -> list[Layer]:
        """All layers that passes are made of, and those inside of them."""
        through = [each.adds.through for each in self.passes if each.adds is not None]
        homes = [each.body for each in self.passes] + [each for each in through if each is not None]
        return [layer for home in homes for layer in home.modules() if isinstance(layer, Layer)]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The official names of the weights, with their shapes."""
        return {name: tuple(tensor.shape) for name, tensor in self.state_dict().items()}
