"""Plans of work that several workers share."""

from __future__ import annotations

from dataclasses import dataclass

from tiling.words import format_bytes, format_seconds, plural

__all__ = ["UnitPlan"]


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """How work is shared out among workers; ``str(plan)`` says it in words.

    Attributes:
        workers: How many there are.
        count: How many units.
        each: What the largest of them holds, in ``noun``.
        noun: What units are made of: frames, latents, or rows of tiles.
        again: What is made more than once for them, as a share of all work.
        read_bytes: What all units read of the source.
        written_bytes: What they make, before it is compressed; None where that is not known.
        weights_bytes: What each machine gets of the model.
        seconds: How long all of it takes; None where that is not known.

    >>> print(UnitPlan(8, 40, 48, "frame", 0.1, 3 << 20, None, 9 << 20, 125.0))
    8 workers, 40 units of up to 48 frames, 10.0% made again; they read 3 MiB, and each machine \
9 MiB of weights, about 2 min
    """

    workers: int
    count: int
    each: int
    noun: str
    again: float
    read_bytes: int
    written_bytes: int | None
    weights_bytes: int
    seconds: float | None = None

    def __str__(self) -> str:
        again = f", {self.again:.1%} made again" if self.again else ""
        made = ""
        if self.written_bytes is not None:
            made = f" and make {format_bytes(self.written_bytes)}"
        time = "" if self.seconds is None else f", {format_seconds(self.seconds)}"
        return (
            f"{plural(self.workers, 'worker')}, {plural(self.count, 'unit')} of up to"
            f" {plural(self.each, self.noun)}{again}; they read {format_bytes(self.read_bytes)}"
            f"{made}, and each machine {format_bytes(self.weights_bytes)} of weights{time}"
        )

    def to_json(self) -> dict[str, object]:
        """The plan as plain values."""
        return {
            "workers": self.workers,
            "units": self.count,
            "each": self.each,
            "of": self.noun,
            "again": self.again,
            "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
            "weights_bytes": self.weights_bytes,
            "seconds": self.seconds,
        }
