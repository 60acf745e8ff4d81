"""Latents that are packed into tokens, as transformers take them: how, and how large they are.

A token is a patch of 2x2 latents, or a single one; its features are the channels of these. Tokens
stand in the order of time, rows and columns. ``(N, tokens, features)`` is what diffusers' pipelines
of FLUX.1, FLUX.2, Qwen-Image, Chroma, LTX and their kin return with ``output_type="latent"``.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

from taesd_stream.models.variants import VARIANTS

__all__ = [
    "PACKED",
    "Packing",
    "Raster",
    "likely_rasters",
    "pack_of_planes",
    "packings_of",
    "raster_of_size",
    "square_raster",
]

PACKED: Final = "packed"
"""The name of the layout, beside those that list axes."""

FeatureOrder: TypeAlias = Literal["c p q", "p q c"]

_PATCH: Final = 2
_FEWEST_UNPATCHED: Final = 48
"""Channels of latents that are packed one by one; fewer are a token of nobody's."""

_PLANES_CHANNELS: Final = 32
_VIDEO_CHANNELS: Final = 128
_LONGEST: Final = 4
"""The most by which one side of a picture of unknown size is taken to be longer than the other."""


_SMALLEST_OF_VIDEO: Final = 16
"""The fewest tokens that a time of a video of unknown size is taken to have."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A way in which latents are packed.

    Attributes:
        channels: Of a latent.
        side: Rows, and columns, of a patch: 2, or 1 where a token is a single latent.
        order: Of a token's features: by channel, row and column in the patch (FLUX), or with the
            channels last (Ideogram 4).
    """

    channels: int
    side: int = _PATCH
    order: FeatureOrder = "c p q"

    def __str__(self) -> str:
        patches = f"{self.side}x{self.side} patches of " if self.side > 1 else ""
        last = ", channels last" if self.order == "p q c" else ""
        return f"{patches}{self.channels} channels{last}"

    @property
    def features(self) -> int:
        """Numbers of a token."""
        return self.channels * self.side**2

    @property
    def is_of_videos(self) -> bool:
        """Whether tokens go on in time (LTX), or else are pictures, or layers of one."""
        return self.channels == _VIDEO_CHANNELS

    @property
    def scales(self) -> tuple[int, ...]:
        """The pixels per latent that models of these channels have, smallest first."""
        return _scales(self.channels) or (8,)


@dataclass(frozen=True, slots=True)
class Raster:
    """The place of tokens: how many times, rows and columns of them there are.

    Attributes:
        token: Pixels of a token's side.
    """

    times: int
    rows: int
    columns: int
    token: int

    def __str__(self) -> str:
        times = f" ({self.times} latents)" if self.times > 1 else ""
        return f"{self.pixels}{times}"

    @property
    def pixels(self) -> str:
        """Width and height of the picture in pixels, as ``--size`` takes them."""
        return f"{self.columns * self.token}x{self.rows * self.token}"


def packings_of(features: int, channels: Collection[int]) -> tuple[Packing, ...]:
    """Every packing of so many features per token, of latents of one of ``channels``.

    >>> [str(packing) for packing in packings_of(64, {4, 16, 64})]
    ['2x2 patches of 16 channels', '64 channels']
    """
    found = [Packing(features // _PATCH**2)] * (features % _PATCH**2 == 0)
    if features >= _FEWEST_UNPATCHED:
        found.append(Packing(features, side=1))
    return tuple(packing for packing in found if packing.channels in channels)


def pack_of_planes(planes: int, channels: Collection[int]) -> Packing | None:
    """The packing of FLUX.2's patches stored as planes, (4C, h/2, w/2), as its VAE has them."""
    packing = Packing(_PLANES_CHANNELS)
    fits = planes == packing.features and _PLANES_CHANNELS in channels
    return packing if fits else None


def raster_of_size(packing: Packing, tokens: int, size: tuple[int, int]) -> Raster | None:
    """The place of tokens in a picture of a height and width in pixels, if there is one.

    A side is rounded down to whole tokens, as pipelines do.

    >>> raster_of_size(Packing(16), 60, (96, 160))
    Raster(times=1, rows=6, columns=10, token=16)
    """
    for scale in packing.scales:
        token = scale * packing.side
        rows, columns = (side // token for side in size)
        if rows * columns > 0 and tokens % (rows * columns) == 0:
            return Raster(tokens // (rows * columns), rows, columns, token)
    return None


def square_raster(packing: Packing, tokens: int) -> Raster | None:
    """The place of tokens in one square picture, if they can be one."""
    side = math.isqrt(tokens)
    if packing.is_of_videos or side * side != tokens:
        return None
    return Raster(1, side, side, packing.scales[0] * packing.side)


def likely_rasters(packing: Packing, tokens: int) -> list[Raster]:
    """Every place that tokens can have in pictures of usual proportions, squarest first."""
    token = packing.scales[0] * packing.side
    times = _divisors(tokens) if packing.is_of_videos else [1]
    found = [
        Raster(count, area // columns, columns, token)
        for count in times
        for area in (tokens // count,)
        for columns in _divisors(area)
        if area <= _LONGEST * columns**2
        and columns**2 <= _LONGEST * area
        and (count == 1 or area >= _SMALLEST_OF_VIDEO)
    ]
    return sorted(
        found, key=lambda raster: (abs(math.log(raster.rows / raster.columns)), raster.times)
    )


@cache
def _scales(channels: int) -> tuple[int, ...]:
    found = {each.spatial_scale for each in VARIANTS if each.latent_channels == channels}
    return tuple(sorted(found))


def _divisors(number: int) -> list[int]:
    small = [each for each in range(1, math.isqrt(number) + 1) if number % each == 0]
    return small + [number // each for each in reversed(small) if each * each != number]
