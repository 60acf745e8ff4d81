"""Plans of what waits while others have their turn: states of tiles, and bands of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tiling.words import format_bytes

__all__ = ["BandPlan", "StatePlan", "StorageKind"]

StorageKind: TypeAlias = Literal["device", "host", "scratch"]
"""The place of a state: on the device, in the host's memory, or in a file."""


@dataclass(frozen=True, slots=True)
class StatePlan:
    """The state that tiles of a video keep between time steps, and the order in which they go.

    Attributes:
        segment: Time steps that each tile goes through before the next tile has its turn; None is
            all of them: tile by tile.
        storage: Where a tile's state lies meanwhile: "device", "host" or "scratch" (a file).
        tiles_bytes: The state of all tiles that is kept at once.
        held_bytes: What of that, and of finished output that waits, is held where it is computed.
    """

    segment: int | None
    storage: StorageKind
    tiles_bytes: int
    held_bytes: int

    def __str__(self) -> str:
        size = format_bytes(self.tiles_bytes)
        if self.segment is None:
            return f"tile by tile through all steps, each remembering {size}"
        turns = "frame by frame" if self.segment == 1 else f"{self.segment} steps a turn"
        where = {"device": "", "host": " in the host's memory", "scratch": " in scratch files"}
        return f"{turns}, remembering {size}{where[self.storage]}"

    def to_json(self) -> dict[str, object]:
        """The plan as plain values."""
        return {
            "segment": self.segment,
            "home": self.storage,
            "tiles_bytes": self.tiles_bytes,
            "held_bytes": self.held_bytes,
        }


@dataclass(frozen=True, slots=True)
class BandPlan:
    """The bands that wait until they are written, and where.

    Attributes:
        in_file: Whether they wait in a temporary file; else in memory.
        rows_bytes: What of them is held in memory.
        writing_bytes: What writing them may take besides.
    """

    in_file: bool
    rows_bytes: int
    writing_bytes: int

    @property
    def held_bytes(self) -> int:
        """All that is held in memory."""
        return self.rows_bytes + self.writing_bytes
