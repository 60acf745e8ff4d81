"""Moments of planes: what a norm goes by, gathered tile by tile while a plane is made."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TypeAlias

import torch
from torch import Tensor

from tiling import Interval

__all__ = ["MixedMoments", "Moments", "Share"]

Share: TypeAlias = tuple[Tensor, Tensor]
"""What a tile adds to the moments of its frames: to ``total``, and to ``squares``."""

_AT_ONCE = 1 << 17  # elements of a band of rows, which stays in a core's cache


class Moments:
    """Sums over the pixels of a plane, in float64 where the device has it.

    Args:
        frames: N.
        channels: C.
        pixels: Pixels of the whole plane, all of which will be added.
        device: Where the tiles are.

    Attributes:
        total: (N, C), the sum of every channel.
        squares: (N, C), the sum of the squares of every channel.
    """

    def __init__(self, frames: int, channels: int, pixels: int, device: torch.device) -> None:
        self.pixels = pixels
        self.total = torch.zeros(frames, channels, dtype=summed_in(device), device=device)
        self.squares = torch.zeros(frames, *self._squares(channels)).to(self.total)

    @staticmethod
    def _squares(channels: int) -> tuple[int, ...]:
        """The shape of ``squares``, for each frame."""
        return (channels,)

    def add(self, frames: Interval, tile: Tensor) -> None:
        """Take in a tile, (n, C, h, w), of these frames."""
        self.take(frames, self.share(tile))

    def take(self, frames: Interval, share: Share) -> None:
        """Take in what a tile of these frames adds."""
        here = slice(frames.start, frames.stop)
        self.total[here] += share[0]
        self.squares[here] += share[1]

    @classmethod
    def side_by_side(cls, parts: Sequence[Moments]) -> Moments:
        """The moments of planes whose channels lie side by side."""
        if len(parts) == 1:
            return parts[0]
        made = copy(parts[0])
        made.total = torch.cat([part.total for part in parts], dim=1)
        made.squares = torch.cat([part.squares for part in parts], dim=1)
        return made

    @classmethod
    def share(cls, tile: Tensor) -> Share:
        """What a tile, (n, C, h, w), adds: whoever made it works that out."""
        rows = max(1, _AT_ONCE // max(1, tile.shape[1] * tile.shape[3]))
        dtype = summed_in(tile.device)
        shares = [cls._of_band(band, dtype) for band in torch.split(tile, rows, dim=2)]
        total, squares = shares[0]
        for more, more_squares in shares[1:]:
            total += more
            squares += more_squares
        return total, squares

    @staticmethod
    def _of_band(band: Tensor, dtype: torch.dtype) -> Share:
        # Squares are taken around the mean of the band: of float32 as they are, those of channels
        # that lie far from zero would cancel out.
        pixels = band.permute(0, 2, 3, 1).flatten(1, 2).to(torch.float32)
        mean = pixels.mean(dim=1, keepdim=True)
        around = (pixels - mean).square_().sum(dim=1).to(dtype)
        mean = mean[:, 0].to(dtype)
        count = pixels.shape[1]
        return count * mean, around + count * mean**2


class MixedMoments(Moments):
    """The same, with sums of products of channels for the sums of squares.

    Attributes:
        squares: (N, C, C), the sum of every product of two channels.
    """

    @staticmethod
    def _squares(channels: int) -> tuple[int, ...]:
        return (channels, channels)

    @staticmethod
    def _of_band(band: Tensor, dtype: torch.dtype) -> Share:
        pixels = band.flatten(2).to(dtype)
        return pixels.sum(dim=2), pixels @ pixels.mT


def summed_in(device: torch.device) -> torch.dtype:
    """The dtype of sums over many numbers."""
    return torch.float32 if device.type == "mps" else torch.float64
