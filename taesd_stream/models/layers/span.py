"""The part of an axis that a layer makes, and the part that it makes it of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from tiling import Interval

__all__ = ["Kind", "Span"]

Kind: TypeAlias = tuple[int | None, int | None, int, int, int, int]
"""The key of a kind of task: where borders are, if any are, and sizes."""


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
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        have, want = self.have, self.want
        key = have.start, have.stop, want.start, want.stop, self.size, self.carried
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        # Plans look tasks up far more often than they make them.
        return self._hash

    def kind(self, scale: tuple[int, int]) -> Kind:
        """The same for tasks that differ in nothing but where they lie.

        One that does not reach a border reads no zeros there, wherever it lies.

        Args:
            scale: Output elements (first) per input elements (second) of what is run.

        >>> first = Span(Interval(8, 18), Interval(9, 17), 64)
        >>> first.kind((1, 1)) == Span(Interval(16, 26), Interval(17, 25), 64).kind((1, 1))
        True
        """
        up, down = scale
        have, want = self.have, self.want
        return (
            want.start if have.start == 0 else None,
            self.size * up - want.stop * down if have.stop == self.size else None,
            have.size,
            want.size,
            want.start * down - have.start * up,
            self.carried,
        )

    @property
    def given(self) -> Interval:
        """The part of the axis that the input covers."""
        return Interval(self.have.start + self.carried, self.have.stop)
