"""A network: passes over a plane, each of them a chain of layers with a bounded footprint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from taesd_stream.models.chain import Chain, Kept, Residual
from taesd_stream.models.global_pool import GlobalPool
from taesd_stream.models.layers import Layer, Span
from taesd_stream.models.temporal import TimeGrow
from tiling import Cover, Footprint, Grid, Interval, Region, Size, halo, reads, scale

__all__ = ["Network", "Pass"]


@dataclass(frozen=True, slots=True)
class Pass:
    """A run over the plane: nothing in it needs to have seen the whole of it first.

    Attributes:
        pool: A global branch that opens the pass; it waits for the statistics that the pass before
            it gathered. None in the first pass.
        body: What follows, with a bounded footprint.
        channels: Channels that the pass reads.
    """

    pool: GlobalPool | None
    body: Chain
    channels: int

    @property
    def out_channels(self) -> int:
        """Channels that the pass writes."""
        return self.body.out_channels(self.channels)

    def out_plane(self, plane: Size) -> Size:
        """The plane that the pass makes of ``plane``."""
        return Size(self.body.out_size(plane.height), self.body.out_size(plane.width))

    def spans(self, tile: Region, plane: Size) -> tuple[Span, Span]:
        """The rows and columns of making a tile of the output from an input ``plane``."""
        return self.body.span(tile.y, plane.height), self.body.span(tile.x, plane.width)

    def memories(self, tile: Region, plane: Size) -> Iterator[Kept]:
        """What layers with a memory keep for a tile of the output."""
        return self.body.memories(*self.spans(tile, plane), self.channels)

    def kept(self, plane: Size, grid: Grid) -> tuple[int, int]:
        """The most elements in the memories of all tiles of a grid (first), of one (second)."""
        total = most = 0
        for y, rows_alike in self._kinds(grid.rows, grid.cell, plane.height).items():
            for x, alike in self._kinds(grid.columns, grid.cell, plane.width).items():
                one = sum(kept.elements for kept in self.body.memories(y, x, self.channels))
                total += one * rows_alike * alike
                most = max(most, one)
        return total, most

    def work(self, plane: Size, grid: Grid) -> int:
        """Multiply-adds of all tiles of a grid over the output plane, per input step."""
        high = self._extents(self._kinds(grid.rows, grid.cell, plane.height))
        wide = self._extents(self._kinds(grid.columns, grid.cell, plane.width))
        densities = list(self.body.densities(self.channels))
        if self.pool is not None:
            densities.append(self.pool.work())
        return int(sum(d * y * x for d, y, x in zip(densities, high, wide, strict=True)))

    def peak(self, plane: Size, grid: Grid) -> int:
        """The most elements held at once for the costliest tile of a grid, per input step."""
        rows = self._kinds(grid.rows, grid.cell, plane.height)
        columns = self._kinds(grid.columns, grid.cell, plane.width)
        # A tile at a border is copied for padding; where it is so along one axis, it is largest
        # when it is the widest along the other.
        pairs = {(y, x) for y in rows for x in self._widest(columns)}
        pairs |= {(y, x) for y in self._widest(rows) for x in columns}
        return max(self._tile_peak(y, x) for y, x in pairs)

    def _tile_peak(self, rows: Span, columns: Span) -> int:
        most = self.body.peak(rows, columns, self.channels)
        if self.pool is not None:
            most = max(most, self.pool.peak(rows.have.size * columns.have.size))
        return most

    def _kinds(self, cover: Cover, cell: int, size: int) -> Counter[Span]:
        """The different tasks that the pieces of an axis are, and how often each occurs.

        Pieces farther from both ends than the halo differ in nothing but where they lie.
        """
        footprints = tuple(self.body.footprints())
        _, down = scale(footprints)
        # In cells; one more, because the last cell of an encoder may stand for fewer pixels.
        margin = -(-halo(footprints) // down) + 1
        first: dict[tuple[int, int, int], Span] = {}
        kinds: Counter[Span] = Counter()
        out_size = self.body.out_size(size)
        for piece in cover:
            key = (min(piece.start, margin), piece.size, min(cover.size - piece.stop, margin))
            if key not in first:
                first[key] = self.body.span(piece.scale(cell).clip(0, out_size), size)
            kinds[first[key]] += 1
        return kinds

    def _extents(self, kinds: Counter[Span]) -> list[int]:
        """Elements computed along one axis by each part that multiplies, over all pieces."""
        each = []
        for span, count in kinds.items():
            extents = list(self.body.extents(span))
            if self.pool is not None:
                extents.append(span.have.size)
            each.append([extent * count for extent in extents])
        return [sum(column) for column in zip(*each, strict=True)]

    def _widest(self, kinds: Counter[Span]) -> tuple[Span, Span]:
        """The kind that reads most, and that of which most is computed over all layers."""
        reads_most = max(kinds, key=lambda span: (span.have.size, span.want.size))
        return reads_most, max(kinds, key=lambda span: sum(self.body.extents(span)))


class Network(nn.Module):
    """An encoder or a decoder.

    Args:
        layers: In the order in which they are run, under their numbers in the official checkpoint.
        channels: Channels that it reads.

    Attributes:
        memories: The layers that keep something of earlier time steps, by their numbers.
    """

    def __init__(self, layers: Mapping[int, Layer], channels: int) -> None:
        super().__init__()
        self.channels = channels
        for number, layer in layers.items():
            self.add_module(str(number), layer)
        self._passes = tuple(_split(tuple(layers.values()), channels))
        self.memories = {str(n): layer for n, layer in layers.items() if layer.kept_steps}
        if self.memories and len(self._passes) > 1:
            raise TypeError("layers with a memory and global branches do not go together")

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The runs over the plane, in order."""
        return self._passes

    @property
    def out_channels(self) -> int:
        """Channels that it writes."""
        return self._passes[-1].out_channels

    @property
    def footprints(self) -> tuple[Footprint, ...]:
        """The footprints of all bounded layers, in order."""
        return tuple(f for each in self._passes for f in each.body.footprints())

    @property
    def scale(self) -> tuple[int, int]:
        """Output elements (first) per input elements (second), along an axis."""
        return scale(self.footprints)

    @property
    def rate(self) -> tuple[int, int]:
        """Output steps (first) per input steps (second), along time."""
        return scale(self._times)

    @property
    def _times(self) -> tuple[Footprint, ...]:
        return tuple(f for each in self._passes for f in each.body.times())

    def reads_steps(self, made: Interval) -> Interval:
        """The input steps that output steps are made of, borders not considered."""
        return reads(self._times, made)

    @property
    def halo(self) -> int | None:
        """Latents that a tile needs around it; None where no finite halo is exact."""
        if len(self._passes) > 1:
            return None
        _, down = self.scale
        return -(-halo(self.footprints) // down)

    def latent_plane(self, plane: Size) -> Size:
        """Height and width in latents of a picture whose input plane this is."""
        return plane if self.scale[1] == 1 else self.out_plane(plane)

    def grids(self, plane: Size, tile: Size) -> list[Grid]:
        """The output plane of every pass cut into tiles of at most ``tile`` latents."""
        latents = self.latent_plane(plane)
        grids = []
        for each in self._passes:
            plane = each.out_plane(plane)
            grids.append(Grid.of(latents, tile, cell=plane.height // latents.height))
        return grids

    def out_plane(self, plane: Size) -> Size:
        """The plane that it makes of ``plane``."""
        for each in self._passes:
            plane = each.out_plane(plane)
        return plane

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
