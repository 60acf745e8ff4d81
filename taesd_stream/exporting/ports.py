"""Inputs and outputs of an exported graph: their names and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from taesd_stream.models.layers.temporal import MemBlock
from taesd_stream.models.network import Network
from tiling import Footprint, Size, scale

__all__ = ["IMAGES", "LATENTS", "Dims", "Planes", "frames_per_step"]

LATENTS, IMAGES = "latents", "images"
"""The names of what is decoded and what is encoded."""

Dims: TypeAlias = tuple[int | str, ...]
"""The shape of an input or output; a word is a size that the caller chooses."""


def frames_per_step(network: Network) -> int:
    """The frames that a step of a network makes, or is made of."""
    return max(network.rate)


@dataclass(frozen=True, slots=True)
class Planes:
    """The shapes that a network's tensors have in a graph.

    Args:
        network: The encoder or the decoder.
        static: Height and width that it reads, one picture at a time; None for any of both, and as
            many pictures.

    >>> from taesd_stream.models.architectures import taesd_decoder
    >>> Planes(taesd_decoder(4)).made()
    ('batch', 3, '8*height', '8*width')
    >>> Planes(taesd_decoder(4), Size(32, 48)).made()
    (1, 3, 256, 384)
    """

    network: Network
    static: Size | None = None

    def read(self) -> Dims:
        """The shape of what it reads of one step."""
        return self._dims(self.network.channels, self.static, (1, 1))

    def made(self) -> Dims:
        """The shape of what it makes of one step."""
        plane = None if self.static is None else self.network.out_plane(self.static)
        return self._dims(self.network.out_channels, plane, self.network.scale)

    def memories(self) -> Iterator[Dims]:
        """The shapes of what layers remember, each that of what its layer reads."""
        channels, plane = self.network.channels, self.static
        before: list[Footprint] = []
        for _, layer in self.network.local_layers:
            if isinstance(layer, MemBlock):
                yield self._dims(channels, plane, scale(tuple(before)))
            channels = layer.out_channels(channels)
            before += layer.footprints()
            if plane is not None:
                plane = Size(layer.out_size(plane.height), layer.out_size(plane.width))

    def _dims(self, channels: int, plane: Size | None, factor: tuple[int, int]) -> Dims:
        if plane is not None:
            return (1, channels, plane.height, plane.width)
        return ("batch", channels, _word("height", factor), _word("width", factor))


def _word(side: str, factor: tuple[int, int]) -> str:
    """A side that is so many times (first) another, or a part (second) of it, rounded up."""
    up, down = factor
    if down > 1:
        return f"ceil({side}/{down})"
    return f"{up}*{side}" if up > 1 else side
