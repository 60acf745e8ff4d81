"""Effort: what work takes, in parts that a machine has a speed each for, and what it moves."""

from __future__ import annotations

from dataclasses import dataclass

from tiling.words import format_bytes

__all__ = ["Effort", "Moved"]


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


@dataclass(frozen=True, slots=True)
class Moved:
    """What passes leave for each other in scratch files, per frame.

    Attributes:
        written_bytes: All that is written.
        read_bytes: All that is read, some of it more than once.
    """

    written_bytes: int = 0
    read_bytes: int = 0

    @property
    def bytes(self) -> int:
        """All of it, whichever way."""
        return self.written_bytes + self.read_bytes

    def __add__(self, other: Moved) -> Moved:
        written = self.written_bytes + other.written_bytes
        return Moved(written, self.read_bytes + other.read_bytes)

    def __str__(self) -> str:
        written, read = map(format_bytes, (self.written_bytes, self.read_bytes))
        return f"({written} written, {read} read again)"
