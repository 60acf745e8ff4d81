"""The parts of a network over a whole plane, in plain PyTorch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

from taesd_stream.models.layers.global_layer import (
    NOISE_CHANNELS,
    AddKept,
    JoinKept,
    Keep,
    Part,
    ReadNoise,
)
from taesd_stream.models.noise import noise
from tiling import Region, Size

__all__ = ["plain_parts"]


def plain_parts(parts: Iterable[Part], tensor: Tensor, seed: int = 0) -> Tensor:
    """All that parts make of a whole plane, (N, C, h, w), one after the other, differentiable.

    Args:
        parts: Each of them makes all of what it makes; attention, which adds it, is none of them.
        tensor: The plane.
        seed: Of noise.
    """
    piles: defaultdict[str, list[Tensor]] = defaultdict(list)
    for part in parts:
        if isinstance(part, Keep):
            piles[part.pile].append(tensor)
        elif isinstance(part, AddKept):
            kept = piles[part.pile].pop()
            tensor = tensor + (kept if part.through is None else part.through.plain(kept))
        elif isinstance(part, JoinKept):
            tensor = torch.cat([tensor, piles[part.pile].pop()], dim=1)
        elif isinstance(part, ReadNoise):
            tensor = torch.cat([_noise(seed, number, tensor) for number in part.numbers], dim=1)
        else:
            tensor = part.plain(tensor)
    return tensor


def _noise(seed: int, number: int, like: Tensor) -> Tensor:
    whole = Region.whole(Size(*like.shape[2:]))
    made = noise(seed, number, whole, NOISE_CHANNELS, like.device)
    return made.to(like.dtype).expand(like.shape[0], -1, -1, -1)
