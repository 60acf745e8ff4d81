"""Effort: what work takes, in parts that a machine has a speed each for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Effort"]


@dataclass(frozen=True, slots=True)
class Effort:
    """The effort of a step; what is done side by side counts once.

    Attributes:
        begun: Layers that are begun for tiles, one after the other.
        multiplied: Multiply-adds, one after the other, with those that could be done while large
            tensors are fetched.
    """

    begun: float = 0.0
    multiplied: float = 0.0

    def __mul__(self, times: float) -> Effort:
        return Effort(self.begun * times, self.multiplied * times)

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.begun + other.begun, self.multiplied + other.multiplied)
