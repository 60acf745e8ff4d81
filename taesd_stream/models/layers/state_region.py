"""The part of a plane that a layer's state covers."""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.models.layers.layer import Layer
from tiling import Region

__all__ = ["StateRegion"]


@dataclass(frozen=True, slots=True)
class StateRegion:
    """Where the state of one layer lies for one tile.

    Attributes:
        layer: The layer.
        channels: Of its input.
        region: Of its input plane.
    """

    layer: Layer
    channels: int
    region: Region

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, h, w) of the state, of each of its time steps."""
        return (self.channels, self.region.y.size, self.region.x.size)

    @property
    def elements(self) -> int:
        """The most that the state holds."""
        return self.layer.kept_steps * self.channels * self.region.area
