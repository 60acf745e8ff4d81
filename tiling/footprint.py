"""Footprints: the input that an operation reads for each piece of its output.

A footprint is that relation along one axis. Composed backwards through a network it tells exactly
which input a piece of output needs; the shrinking halo is nothing but this composition, taken
layer by layer instead of once for the whole network (fused-layer execution: Alwani et al., MICRO
2016; exact tiles for classification: Pinckaers et al., TPAMI 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiling.interval import Interval

__all__ = ["POINTWISE", "Footprint", "halo", "reads", "scale"]


@dataclass(frozen=True, slots=True)
class Footprint:
    """Upscaling by repetition, followed by a kernel that slides with a stride.

    Attributes:
        kernel: Its width, in elements of the upscaled axis.
        stride: Elements from one place of the kernel to the next.
        padding: Elements assumed to lie before the upscaled axis, and after it.
        upscale: How many elements each input element becomes before the kernel slides.
        after: Elements assumed to lie after it where they are not as many; None where they are.

    >>> conv3x3 = Footprint(kernel=3, padding=1)
    >>> conv3x3.reads(Interval(8, 16))
    Interval(start=7, stop=17)
    >>> Footprint(upscale=2).reads(Interval(7, 17))
    Interval(start=3, stop=9)
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    upscale: int = 1
    after: int | None = None

    def __post_init__(self) -> None:
        paddings = self.padding, self.after or 0
        if min(self.kernel, self.stride, self.upscale) < 1 or min(paddings) < 0:
            raise ValueError(
                f"kernel, stride and upscale must be at least 1 and padding at least 0; got {self}"
            )

    def out_size(self, size: int) -> int:
        """Length of the output axis for an input axis of ``size`` elements."""
        after = self.padding if self.after is None else self.after
        return (size * self.upscale + self.padding + after - self.kernel) // self.stride + 1

    def reads(self, out: Interval) -> Interval:
        """The input that ``out`` is made of; it reaches past the axis where padding is read."""
        if out.size == 0:
            start = (out.start * self.stride) // self.upscale
            return Interval(start, start)
        first = out.start * self.stride - self.padding
        last = (out.stop - 1) * self.stride - self.padding + self.kernel
        read = Interval(first, last)
        return read if self.upscale == 1 else read.divide(self.upscale)


POINTWISE = Footprint()


def reads(chain: Sequence[Footprint], out: Interval) -> Interval:
    """The input that ``out`` needs through a whole chain, borders not considered.

    >>> reads([Footprint(kernel=3, padding=1)] * 2, Interval(0, 1))
    Interval(start=-2, stop=3)
    """
    for footprint in reversed(chain):
        out = footprint.reads(out)
    return out


def scale(chain: Sequence[Footprint]) -> tuple[int, int]:
    """The scale: so many output elements (first) stand for so many input elements (second).

    >>> scale([Footprint(upscale=2)] * 3)
    (8, 1)
    """
    up = down = 1
    for footprint in chain:
        up *= footprint.upscale
        down *= footprint.stride
    return up, down


def halo(chain: Sequence[Footprint]) -> int:
    """Input elements that a tile needs beyond its own on the side that needs more.

    A tile is aligned: it stands for whole input elements when the chain upscales, and for whole
    output elements when it strides.

    >>> halo([Footprint(kernel=3, padding=1), Footprint(upscale=2), Footprint(kernel=3, padding=1)])
    2
    """
    up, down = scale(chain)
    own = Interval(0, down)
    need = reads(chain, Interval(0, up))
    return max(own.start - need.start, need.stop - own.stop)
