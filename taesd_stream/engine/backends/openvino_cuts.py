"""Where tensors are cut in a graph that makes tiles of any size, anywhere in the picture.

Every convolution in it pads with zeros on all sides: that is right where the picture ends, and
elsewhere spoils what lies next to the tensor's sides and is wanted by no later layer. So one graph
does for all tiles, with what is cut off, and where, as an input. It is cut where that is cheap or
has to be: before planes grow or shrink, and where steps are remembered, of which exactly a layer's
own part is kept. In between, a tile computes a little more than what is wanted of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.span import Span
from tiling import Interval, Region, scale

__all__ = ["Cuts", "is_cut_before"]


def is_cut_before(layer: Layer) -> bool:
    """Whether what a layer reads is cut to what it needs."""
    footprint = layer.footprint
    return footprint.upscale > 1 or footprint.stride > 1 or layer.kept_steps > 0


@dataclass(frozen=True, slots=True)
class Cuts:
    """The cuts for one tile.

    Attributes:
        read: What the graph reads, in place of what the tile's spans have. A window of stride 2
            that begins on an odd element does not go with zeros before it; one more element, of
            any value, puts it right.
        bounds: The first row and column that is kept at each cut, and the first after those.
        made: What the graph makes, more than is wanted.
    """

    read: Region
    bounds: tuple[int, ...]
    made: Region

    @classmethod
    def of(cls, body: Chain, rows: Span, columns: Span) -> Cuts:
        """The cuts for the tile of these spans."""
        read = held = _read(body.layers[0], rows, columns)
        bounds: list[int] = []
        for layer, *spans in body.tasks(rows, columns):
            if is_cut_before(layer):
                kept = _read(layer, *spans)
                y, x = kept.within(held)
                bounds += [y.start, x.start, y.stop, x.stop]
                held = kept
            held = Region(_made(layer, held.y), _made(layer, held.x))
        return cls(read, tuple(bounds), held)


def _read(layer: Layer, rows: Span, columns: Span) -> Region:
    stride = layer.footprint.stride
    y, x = (
        Interval(each.have.start // stride * stride, each.have.stop) for each in (rows, columns)
    )
    return Region(y, x)


def _made(layer: Layer, held: Interval) -> Interval:
    """What a layer makes of a part of an axis with zeros on both sides of it."""
    up, down = scale(tuple(layer.footprints()))
    start = held.start * up // down
    return Interval(start, start + layer.out_size(held.size))
