"""The base of layers that need to have seen a whole plane, and what such a layer has seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from torch import Tensor, nn

from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.moments import Moments
from tiling import Block, Region

__all__ = [
    "NOISE_CHANNELS",
    "AddKept",
    "Completed",
    "Divided",
    "GlobalLayer",
    "JoinKept",
    "Keep",
    "Part",
    "ReadNoise",
    "Seen",
    "WholePlane",
]

Completed: TypeAlias = Callable[[Tensor, Block], Tensor]
"""A global layer for planes that it has seen: makes a fresh tile of a tile, (n, C, h, w), that lies
in a block of these planes."""


class WholePlane(Protocol):
    """A whole plane, which can be read once more.

    Attributes:
        height: WholePlane of it.
        width: Columns of it.
    """

    height: int
    width: int

    def read(self, frame: int, region: Region, /) -> Tensor:
        """(1, C, h, w) of a frame, on the computing device; it is not to be written to."""


class Seen(NamedTuple):
    """What a global layer has seen of the plane that it is run over.

    Attributes:
        moments: Of the plane.
        plane: All of it.
    """

    moments: Moments
    plane: WholePlane


class Divided(nn.Module):
    """Base of all that is divided among passes, since something in it has to see whole planes."""

    def parts(self) -> Iterator[Part]:
        """What a network is cut into here."""
        raise NotImplementedError

    def plain(self, tensor: Tensor) -> Tensor:
        """All that it makes of a whole plane, (N, C, h, w), in plain differentiable PyTorch."""
        raise NotImplementedError


class GlobalLayer(Divided):
    """A layer of which no element is known before the whole of its input plane has been seen.

    Once it has, every element is made of the same element alone: tiles need no halo for its sake.

    Attributes:
        channels: Channels that it reads.
        moments: The moments of its input that it goes by.
        reads_all: Whether each tile is made of the whole plane.
    """

    channels: int
    reads_all: bool = False
    moments: type[Moments] = Moments

    @property
    def out_channels(self) -> int:
        """Channels that it makes."""
        return self.channels

    def parts(self) -> Iterator[Part]:
        yield self

    def completed(self, seen: Seen) -> Completed:
        """The layer for tiles of the planes that were seen."""
        raise NotImplementedError

    def work(self, plane_area: int) -> Work:
        """The work per pixel of a plane of so many, the statistics included."""
        raise NotImplementedError

    def peak(self, area: int, plane_area: int, frames: int = 1) -> int:
        """The most elements held at once for a tile of so many pixels of a plane of so many.

        What the tile is made of is included, and what is made of it.

        Args:
            area: Pixels of the tile.
            plane_area: Pixels of the plane.
            frames: How many frames lie in the tile.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Keep:
    """Keeps the plane that is read here, for a part that comes later.

    Attributes:
        pile: Where it is put on top; one that is kept inside of another needs no name for it.
    """

    pile: str = ""


@dataclass(frozen=True, slots=True)
class AddKept:
    """Adds the plane that was kept last.

    Attributes:
        through: A layer without a halo that it goes through; None for none.
        pile: Of which it is taken.
    """

    through: Layer | None = None
    pile: str = ""


@dataclass(frozen=True, slots=True)
class JoinKept:
    """Puts the channels of the plane that was kept last behind those that are read here.

    Attributes:
        pile: Of which it is taken.
    """

    pile: str


@dataclass(frozen=True, slots=True)
class ReadNoise:
    """Planes of noise, as large as the one before, which are read from here on in its place.

    Attributes:
        numbers: Which, counted from 1; each has ``NOISE_CHANNELS``, and they lie side by side.
    """

    numbers: tuple[int, ...]


NOISE_CHANNELS = 3
"""Channels of a plane of noise: it is noise of pictures."""


Part: TypeAlias = Layer | GlobalLayer | Keep | AddKept | JoinKept | ReadNoise
"""A part of a network, as it is cut into passes: at global layers, and where planes are kept."""
