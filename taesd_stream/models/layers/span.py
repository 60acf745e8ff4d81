"""The part of an axis that a layer makes, and the part that it makes it of."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tiling import Interval

__all__ = ["Span", "wanted_part"]


@dataclass(frozen=True, slots=True)
class Span:
    """A layer's task along one axis, in elements of the layer's own scale.

    Attributes:
        have: The part that ``want`` is made of, exactly.
        want: The part that the output shall cover.
        size: Length of the whole input axis.
        carried: How much of the beginning of ``have`` the tile before has left; the rest is given.
    """

    have: Interval
    want: Interval
    size: int
    carried: int = 0

    @property
    def given(self) -> Interval:
        """The part of the axis that the input covers."""
        return Interval(self.have.start + self.carried, self.have.stop)


def wanted_part(tensor: Tensor, rows: Span, columns: Span, factor: int = 1) -> Tensor:
    """The part that spans want of a tensor over ``factor`` times what they have; a view."""
    y = rows.want.within(rows.have.scale(factor))
    x = columns.want.within(columns.have.scale(factor))
    return tensor[:, :, y, x]
