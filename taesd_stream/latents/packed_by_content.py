"""Packed latents told from planes by the numbers, where the sizes of the axes cannot do it.

Neighbours in a plane look alike, wherever they are. Of a token's features, those of one channel are
neighbours in a plane, and those of two channels are not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from taesd_stream.latents.layout_by_content import directions, middle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taesd_stream.latents.packing import Packing, Raster
    from taesd_stream.latents.source import Store

__all__ = ["Numbers", "Rows", "orders_of"]

# Mean correlations of neighbouring columns of features, measured as below in clips of Stable
# Diffusion, FLUX.2 and Wan 2.1. In 2x2 patches of 8x8 latents and more, columns of one channel
# correlated by 0.2 to 0.7 more than those at the border of two channels, which reached 0.3; in
# planes of as many columns the difference was at most 0.29. With these thresholds none of 20,000
# planes of these clips, of drawings and of tiles was taken for packed.
_UNLIKE: Final = 0.45
_ALIKE: Final = 0.5
_MORE_ALIKE: Final = 0.35
_MORE_ALIKE_ASKEW: Final = 0.2
_LEAST_ALIKE: Final = 0.25
_UNLIKE_CHANNELS: Final = 0.1

# In a line of three, the outer ones are less alike than neighbours: a picture of tiles of 32 pixels
# is a plane in which columns are in fours, and betrays itself so. In a patch, two places that are
# beside each other are more alike than two that touch at a corner. The difference of the two, as a
# share of what the second lacks of 1, was -0.8 and less in pictures of tiles, and -0.14 and more
# in packed latents from 16x16 up.
_LEAST_BEND: Final = -0.25
_LEAST_DIFFERENCE: Final = 0.005

# By how much more the tokens below each other in another width must look alike, than in a square:
# it was less in all of 2,400 squares of 100 tokens and more of these clips.
_MUCH_MORE_ALIKE: Final = 0.2
_FEWEST_TOKENS: Final = 100

_MOST_PACKS: Final = 4
_MOST_TOKENS: Final = 128
_MOST_ROWS: Final = 16
_MOST_FEATURES: Final = 64
_MOST_TOKENS_IN_ROWS: Final = 2**14


class Numbers:
    """A few numbers of an array, from the middle of it, by which its reading is told.

    Args:
        store: (N, tokens, features), (tokens, features), or with ``are_planes`` patches as planes,
            (N, 4C, h/2, w/2) or (4C, h/2, w/2); or anything else of as many axes.
        are_planes: Whether it may be patches as planes.
    """

    def __init__(self, store: Store, *, are_planes: bool = False) -> None:
        shape = store.shape
        few: tuple[int, ...] = (_MOST_PACKS, _MOST_TOKENS, shape[-1])
        if are_planes:
            few = (_MOST_PACKS, shape[-3], _MOST_ROWS, _MOST_ROWS)
        index = [middle(size, most) for size, most in zip(shape, few[-len(shape) :], strict=True)]
        block = store.block(tuple(index))
        if are_planes:
            block = block.flatten(-2).transpose(-1, -2)
        self._block = block.double().reshape(-1, *block.shape[-2:])
        columns = directions(self._block, 1)
        self._correlations = (columns.mT @ columns).mean(0)

    def fit(self, packing: Packing) -> bool | None:
        """Whether they are packed so (True), or are planes (False), or nobody knows (None)."""
        if packing.side == 1:
            along, across = _along_tokens(self._block), self._likeness(1)
            if abs(across) <= _UNLIKE_CHANNELS and along >= _ALIKE:
                return True
            return False if across >= _ALIKE else None
        step = 1 if packing.order == "c p q" else packing.channels
        place = torch.arange(packing.features, device="cpu") // step % 4
        alike = self._likeness(step, place != 3)
        # The last place in the patch and the first one of the next channel; or two channels.
        unlike = self._likeness(1, place == 3 if step == 1 else None)
        beside, askew = self._likeness(2 * step, place < 2), self._likeness(step, place == 1)
        are_around = 1 - askew > _LEAST_DIFFERENCE and beside - askew > _LEAST_BEND * (1 - askew)
        if (
            alike >= max(_LEAST_ALIKE, unlike + _MORE_ALIKE)
            and askew >= unlike + _MORE_ALIKE_ASKEW
            and abs(unlike) <= _UNLIKE
        ):
            return True if are_around else None
        return False if unlike >= _ALIKE and abs(alike - unlike) <= _LEAST_ALIKE else None

    def _likeness(self, step: int, chosen: torch.Tensor | None = None) -> float:
        """The mean correlation of the columns of features ``chosen`` and those ``step`` further."""
        found = self._correlations.diagonal(step)
        return float((found if chosen is None else found[chosen[: len(found)]]).mean())


class Rows:
    """Tokens that follow each other, from the middle of an array, which tell how wide a row is.

    Args:
        store: (N, tokens, features) or (tokens, features).
    """

    def __init__(self, store: Store) -> None:
        *packs, tokens, features = store.shape
        seen = middle(tokens, _MOST_TOKENS_IN_ROWS)
        index = (*(slice(0, 1) for _ in packs), seen, slice(0, min(features, _MOST_FEATURES)))
        block = store.block(index)
        numbers = block.double().view(block.shape[-2:])
        deviation = numbers.std(0, correction=0).clamp_min(1e-9)
        self._tokens = (numbers - numbers.mean(0)) / deviation
        self._first = seen.start

    def likeliest(self, rasters: Sequence[Raster]) -> list[Raster]:
        """Places of the tokens, the one first in which neighbours look most alike."""
        return sorted(rasters, key=self._likeness, reverse=True)

    def speak_against(self, square: Raster, others: Sequence[Raster]) -> bool:
        """Whether what could be a square picture has neighbours far more alike in another place."""
        if len(self._tokens) < _FEWEST_TOKENS or not others:
            return False
        most = max(map(self._likeness, others))
        return most >= max(_LEAST_ALIKE, self._likeness(square) + _MUCH_MORE_ALIKE)

    def _likeness(self, raster: Raster) -> float:
        """The mean correlation of tokens below each other, less that of tokens of two times."""
        alike = (self._tokens[raster.columns :] * self._tokens[: -raster.columns]).mean(1)
        if not len(alike):
            return -1.0
        rows = (torch.arange(len(alike), device="cpu") + self._first) // raster.columns
        in_two_times = rows % raster.rows == raster.rows - 1
        within, between = alike[~in_two_times], alike[in_two_times]
        likeness = float(within.mean()) if len(within) else -1.0
        return likeness - (float(between.mean()) if len(between) else 0.0)


def orders_of(packing: Packing) -> tuple[Packing, ...]:
    """The packing in every order of its features, of which numbers can tell one."""
    return (packing, replace(packing, order="p q c")) if packing.side > 1 else (packing,)


def _along_tokens(block: torch.Tensor) -> float:
    """The mean correlation of tokens and those after them."""
    one, other = directions(block[:, 1:], 1), directions(block[:, :-1], 1)
    return float((one * other).sum(1).mean())
