"""A network: passes over a plane, each of them a chain of layers with a bounded footprint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from taesd_stream.models.global_pool import GlobalPool
from taesd_stream.models.layers import Chain, Layer, Residual, Span
from tiling import Cover, Footprint, Grid, Size, halo, scale

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

    def work(self, plane: Size, grid: Grid) -> int:
        """Multiply-adds of all tiles of a grid over the output plane, per frame."""
        high = self._extents(self._kinds(grid.rows, grid.cell, plane.height))
        wide = self._extents(self._kinds(grid.columns, grid.cell, plane.width))
        densities = list(self.body.densities(self.channels))
        if self.pool is not None:
            densities.append(self.pool.work())
        return sum(d * y * x for d, y, x in zip(densities, high, wide, strict=True))

    def peak(self, plane: Size, grid: Grid) -> int:
        """The most elements held at once for the costliest tile of a grid, per frame."""
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
        layers: In the order and the numbering of the official checkpoint.
        channels: Channels that it reads.

    Attributes:
        passes: The same layers as runs over the plane; one unless there are global branches.
    """

    def __init__(self, layers: Sequence[Layer], channels: int) -> None:
        super().__init__()
        self.channels = channels
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)
        self._passes = tuple(_split(layers, channels))

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
