"""Normal noise drawn by position: any part of a plane of it, in any order, is the same noise.

The generator is Philox4x32-10, which makes four random words of a counter, here of a position, and
has no state (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011); Box and Muller's
transform makes normal numbers of them. Integers are exact everywhere, and what follows is in
float64: tiles, devices and dtypes agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from taesd_stream.models.layers.moments import summed_in
from tiling import Region

__all__ = ["noise", "random_words"]

Words: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""Four words of 32 bits, as int64."""

_WORD = 0xFFFFFFFF
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_AT_ONCE = 1 << 15  # pixels of a band, whose words stay in a core's cache


def noise(seed: int, number: int, region: Region, channels: int, device: torch.device) -> Tensor:
    """A part of a plane of noise, (1, C, h, w) in float32, of mean 0 and deviation 1.

    Args:
        seed: The same seed makes the same planes; 64 bits of it count.
        number: Which of the planes.
        region: Which part of it.
        channels: C.
        device: Where it is made.

    >>> from tiling import Interval
    >>> whole = noise(7, 1, Region(Interval(0, 5), Interval(0, 6)), 3, torch.device("cpu"))
    >>> part = noise(7, 1, Region(Interval(2, 4), Interval(1, 6)), 3, torch.device("cpu"))
    >>> torch.equal(part, whole[:, :, 2:4, 1:6])
    True
    """
    made = torch.empty(1, channels, *region.shape, device=device)
    x = torch.arange(region.x.start, region.x.stop, device=device)
    rows = max(1, _AT_ONCE // max(1, region.x.size))
    for top in range(0, region.y.size, rows):
        band = made[0, :, top : top + rows]
        first = region.y.start + top
        y = torch.arange(first, first + band.shape[1], device=device)[:, None]
        for start in range(0, channels, 4):
            words = random_words((x, y, _filled(x, start // 4), _filled(x, number)), seed)
            for channel, plane in zip(band[start : start + 4], _normal(words), strict=False):
                channel.copy_(plane)
    return made


def random_words(counter: Words, seed: int) -> Words:
    """Four random words for each counter of four words; these are broadcast to each other."""
    a, b, c, d = counter
    key = seed & _WORD, seed >> 32 & _WORD
    for _ in range(_ROUNDS):
        low, high = _multiplied(a, _MULTIPLIERS[0])
        low_too, high_too = _multiplied(c, _MULTIPLIERS[1])
        a, b, c, d = high_too ^ b ^ key[0], low_too, high ^ d ^ key[1], low
        key = (key[0] + _KEY_STEPS[0]) & _WORD, (key[1] + _KEY_STEPS[1]) & _WORD
    return a, b, c, d


def _multiplied(word: Tensor, by: int) -> tuple[Tensor, Tensor]:
    """The low and the high word of a product."""
    product = word * by  # what overflows int64 wraps around, and keeps its bits
    return product & _WORD, product >> 32 & _WORD


def _normal(words: Words) -> Iterator[Tensor]:
    """Four normal numbers of four words."""
    a, b, c, d = words
    dtype = summed_in(a.device)
    for first, second in ((a, b), (c, d)):
        far = first.to(dtype).add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
        angle = second.to(dtype).add_(0.5).mul_(torch.pi * 2.0**-31)
        yield far * angle.cos()
        yield far * angle.sin()


def _filled(like: Tensor, value: int) -> Tensor:
    return torch.full_like(like, value)
