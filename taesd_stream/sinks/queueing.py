"""What waits between a program and what writes: how much, and what if there is no room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from taesd_stream.errors import InputError
from video.background import WriteBehind

__all__ = ["Queueing", "WhenFull"]

T = TypeVar("T")

WhenFull: TypeAlias = Literal["wait", "drop"]
"""Whether who hands something over waits for room, or the oldest that waits makes it."""


@dataclass(frozen=True, slots=True)
class Queueing:
    """The options of a queue.

    Attributes:
        when_full: "wait", or "drop" the oldest.
        most: How many may wait; None is as many as fit well.

    Raises:
        InputError: They make no sense.
    """

    when_full: WhenFull = "wait"
    most: int | None = None

    def __post_init__(self) -> None:
        if self.when_full not in ("wait", "drop"):
            raise InputError(f"when_full: expected 'wait' or 'drop', found {self.when_full!r}")
        if self.most is not None and (type(self.most) is not int or self.most < 1):
            raise InputError(f"queue: expected 1 or more that may wait, found {self.most!r}")

    def put(self, queue: WriteBehind[T, None], item: T) -> int:
        """Hand an item over; returns how many were dropped for it."""
        if self.when_full == "drop":
            return queue.put_newest(item)
        queue.put(item)
        return 0
