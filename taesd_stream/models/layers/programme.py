"""Programmes: the operators that make one kind of tile, worked out once.

Tiles of a kind differ only in where they lie: in what they read, in where borders are, and in
whether they go on from another one. So all geometry is worked out when the first of a kind comes,
and the others run a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from taesd_stream.models.layers.operators import (
    Add,
    Convolve,
    Enlarge,
    Operator,
    Rectify,
    SetAside,
)
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["Programme"]


class Programme:
    """Operators, one after the other, those made one that a library computes as one.

    Args:
        operators: The operators.

    Attributes:
        operators: What is left of them.
    """

    def __init__(self, operators: Iterable[Operator]) -> None:
        self.operators = tuple(_fused(operators))

    def __call__(self, tensor: Tensor, state: TileState) -> Tensor:
        """The output of the last for a tile, (n, C, h, w)."""
        for operator in self.operators:
            tensor = operator(tensor, state)
        return tensor


def _fused(operators: Iterable[Operator]) -> list[Operator]:
    """The same, with sums and ReLUs left to the convolution before them where it takes them.

    What is added has to be as large as what the convolution makes, which may be more than is
    wanted of it; so what was set aside is given as many elements more.
    """
    fused: list[Operator] = []
    aside: list[tuple[int, SetAside]] = []
    for operator in operators:
        last = fused[-1] if fused else None
        before = last if isinstance(last, Convolve | Enlarge) and last.takes_more else None
        if isinstance(operator, SetAside):
            aside.append((len(fused), operator))
            fused.append(operator)
        elif isinstance(operator, Convolve) and operator.adds:
            aside.pop()
            fused.append(operator)
        elif isinstance(operator, Add):
            index, part = aside.pop()
            if isinstance(before, Convolve):
                fused[index] = part.enlarged(before.surplus)
                fused[-1] = replace(before, adds=True)
            else:
                fused.append(operator)
        elif isinstance(operator, Rectify) and before is not None:
            fused[-1] = replace(before, slope=operator.slope)
        else:
            fused.append(operator)
    return fused
