"""Where tensors are cut in a graph that makes tiles of any size, anywhere in the picture.

Every convolution in it pads with zeros on all sides: that is right where the picture ends, and
elsewhere spoils what lies next to the tensor's sides and is wanted by no later layer. So one graph
does for all tiles, with what is cut off, and where, as an input. It is cut where that is cheap or
has to be: before planes grow or shrink, and where steps are remembered, of which exactly a layer's
own part is kept. In between, a tile computes a little more than what is wanted of it.

What is computed twice is mostly of the layers before the last that makes planes grow, and what is
held is mostly of those after it. So a large tile may go as a whole through the former, and in
sections through the latter, one after the other in the same memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, product

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.span import Span
from tiling import Interval, Region, scale

__all__ = ["SECTIONS", "Cuts", "PaddedChain", "Section", "is_cut_before", "whole_layers"]

SECTIONS = 3
"""The sections of a large tile along each axis."""
# Elements of an axis that are made as one. TAESD holds most after planes have grown for the last
# time, and a quarter of that before; so a tile of twice this side takes as much there, and its
# sections, with what they are cut from, less.
_MOST_IN_ONE = 1024


def is_cut_before(layer: Layer) -> bool:
    """Whether what a layer reads is cut to what it needs."""
    footprint = layer.footprint
    return footprint.upscale > 1 or footprint.stride > 1 or layer.kept_steps > 0


def whole_layers(body: Chain) -> int:
    """The number of layers that tiles go through as a whole, before those that make sections."""
    layers = body.layers
    enlarging = [i for i, each in enumerate(layers[:-1]) if each.footprint.upscale > 1]
    is_of_pictures = not any(each.kept_steps or each.time.upscale > 1 for each in layers)
    return enlarging[-1] if enlarging and is_of_pictures else len(layers)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a tile that is made by itself.

    Attributes:
        bounds: The first row and column that is kept at each cut, and the first after those.
        want: What is wanted of it.
        made: What the graph makes, more than is wanted.
    """

    bounds: tuple[int, ...]
    want: Region
    made: Region


@dataclass(frozen=True, slots=True)
class Cuts:
    """The cuts for one tile.

    Attributes:
        read: What the graph reads, in place of what the tile's spans have. A window of stride 2
            that begins on an odd element does not go with zeros before it; one more element, of
            any value, puts it right.
        bounds: As those of sections, at the cuts before there are any.
        sections: What they cover together is the tile.
    """

    read: Region
    bounds: tuple[int, ...]
    sections: tuple[Section, ...]

    @classmethod
    def of(cls, body: Chain, rows: Span, columns: Span, *, sectioned: bool = True) -> Cuts:
        """The cuts for the tile of these spans.

        Args:
            sectioned: Whether a large tile is made in sections.
        """
        y, x = _Axis.of(body, rows, sectioned), _Axis.of(body, columns, sectioned)
        sections = (
            Section(_bounds(high, wide), Region(high.want, wide.want), Region(high.made, wide.made))
            for high, wide in product(y.sections, x.sections)
        )
        return cls(Region(y.read, x.read), _bounds(y.whole, x.whole), tuple(sections))

    def bounds_of(self, sections: int) -> list[int]:
        """All bounds for a graph of so many sections, the first of which are empty if it has more.

        The last are used: what sections are cut from is held until the last of them is cut.
        """
        unused = sections - len(self.sections)
        own = [each.bounds for each in self.sections]
        return [*self.bounds, *unused * len(own[0]) * [0], *chain.from_iterable(own)]


class PaddedChain:
    """Layers as such a graph computes them; it counts, as they do, what that takes.

    Args:
        body: The layers.
        sectioned: Whether a large tile is made in sections.
    """

    def __init__(self, body: Chain, *, sectioned: bool = True) -> None:
        self._body, self._whole = body, whole_layers(body)
        self._axis = lru_cache(maxsize=1024)(partial(_Axis.of, body, sectioned=sectioned))

    def extents(self, span: Span) -> Iterator[int]:
        """Output elements along an axis of each part that multiplies, of all sections together."""
        axis = self._axis(span)
        sections = zip(*(each.sizes for each in axis.sections), strict=True)
        sizes: list[tuple[int, ...]] = [*((size,) for size in axis.whole.sizes), *sections]
        for layer, of_all in zip(self._body.layers, sizes, strict=True):
            parts = (layer.extents(_padded(layer, size)) for size in of_all)
            yield from map(sum, zip(*parts, strict=True))

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        """The most elements held at once for one input step, input and output included.

        Of a tile in sections also the blocks that OpenVINO does not share: what is cut, and what is
        kept of it, it holds until it cuts again, and the sums of sections have one of their own.
        """
        y, x = self._axis(rows), self._axis(columns)
        if len(y.sections) * len(x.sections) == 1:
            return self._body.peak(rows, columns, channels)
        high, wide = (max(axis.sections, key=lambda each: each.sizes) for axis in (y, x))
        most = cut = made = 0
        finished = rows.want.size * columns.want.size * self._body.out_channels(channels)
        sizes = zip(y.whole.sizes, x.whole.sizes, strict=True)
        for layer, (tall, broad) in zip(self._body.layers, sizes, strict=False):
            if is_cut_before(layer):
                cut = made + tall * broad * channels
            high_and_wide = _padded(layer, tall), _padded(layer, broad)
            most = max(most, layer.peak(*high_and_wide, channels))
            channels = layer.out_channels(channels)
            made = layer.out_size(tall) * layer.out_size(broad) * channels
        enlarging, tall, broad = self._body.layers[self._whole], high.sizes[0], wide.sizes[0]
        sums = enlarging.out_size(tall) * enlarging.out_size(broad)
        sums *= enlarging.out_channels(channels)
        return most + cut + sums + 2 * tall * broad * channels + 2 * finished


@dataclass(frozen=True, slots=True)
class _Run:
    """What some layers make along an axis.

    Attributes:
        sizes: Elements that each of them reads.
        bounds: The first element that is kept at each cut, and the first after those.
        want: What is wanted of the last of them, or of all that follow.
        made: What it makes.
    """

    sizes: tuple[int, ...]
    bounds: tuple[tuple[int, int], ...]
    want: Interval
    made: Interval

    @classmethod
    def of(cls, tasks: Iterable[tuple[Layer, Span]], held: Interval, want: Interval) -> _Run:
        """What layers make of ``held``."""
        sizes, bounds = [], []
        for layer, span in tasks:
            if is_cut_before(layer):
                kept = _read(layer, span)
                part = kept.within(held)
                bounds.append((part.start, part.stop))
                held = kept
            sizes.append(held.size)
            held = _made(layer, held)
        return cls(tuple(sizes), tuple(bounds), want, held)


@dataclass(frozen=True, slots=True)
class _Axis:
    """What a graph does along an axis of a tile.

    Attributes:
        read: What it reads.
        whole: The layers before there are sections.
        sections: Those after that, for each section.
    """

    read: Interval
    whole: _Run
    sections: tuple[_Run, ...]

    @classmethod
    def of(cls, body: Chain, span: Span, sectioned: bool) -> _Axis:
        tasks = body.tasks_along(span)
        divided_at = whole_layers(body) if sectioned else len(tasks)
        read = _read(*tasks[0])
        whole = _Run.of(tasks[:divided_at], read, span.want)
        sections = (
            _Run.of(body.tasks_along(each)[divided_at:], whole.made, each.want)
            for each in (_sections(body, span) if divided_at < len(tasks) else [span])
        )
        return cls(read, whole, tuple(sections))


def _sections(body: Chain, span: Span) -> Iterator[Span]:
    want = span.want
    size = want.size if want.size <= _MOST_IN_ONE else -(-want.size // SECTIONS)
    for start in range(want.start, want.stop, size):
        yield body.span(Interval(start, min(start + size, want.stop)), span.size)


def _bounds(rows: _Run, columns: _Run) -> tuple[int, ...]:
    corners = (zip(*both, strict=True) for both in zip(rows.bounds, columns.bounds, strict=True))
    return tuple(bound for both in corners for corner in both for bound in corner)


def _read(layer: Layer, span: Span) -> Interval:
    stride = layer.footprint.stride
    return Interval(span.have.start // stride * stride, span.have.stop)


def _made(layer: Layer, held: Interval) -> Interval:
    """What a layer makes of a part of an axis with zeros on both sides of it."""
    up, down = scale(tuple(layer.footprints()))
    start = held.start * up // down
    return Interval(start, start + layer.out_size(held.size))


def _padded(layer: Layer, size: int) -> Span:
    """What a layer does with so many elements as if there were no others."""
    return layer.span(Interval(0, layer.out_size(size)), size)
