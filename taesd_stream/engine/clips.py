"""The steps that clips are computed of, and those that are kept of what they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from taesd_stream.models.timing import DecodeTiming, EncodeTiming

__all__ = ["Compute", "Place", "as_it_is", "decoded_clip", "encoded_clip"]

Place: TypeAlias = Callable[[int], int | None]
"""Tells which of the steps that are kept a step that a network makes is, if any."""

Compute: TypeAlias = Callable[[Tensor, int, Place], Tensor]
"""What a network makes of all steps of a clip, (T, C, h, w): so many of them, in their places."""


def as_it_is(step: int) -> int:
    """The place of a step where all are kept."""
    return step


def decoded_clip(timing: DecodeTiming, latents: Tensor, compute: Compute) -> Tensor:
    """(T, C, h, w) latents of one video to its frames, (T', C', H, W).

    Args:
        timing: Which of what the decoder makes are frames of the video.
        latents: All of them.
        compute: What the decoder makes.
    """
    total = latents.shape[0]

    def place(raw: int) -> int | None:
        return timing.frame(raw, total)

    return compute(latents[: timing.usable(total)], timing.frames(total), place)


def encoded_clip(timing: EncodeTiming, frames: Tensor, compute: Compute) -> Tensor:
    """(T, C', H, W) frames of one video to its latents, (T', C, h, w).

    Args:
        timing: How many frames make one latent, and what is put before and after them.
        frames: All of them.
        compute: What the encoder makes.
    """
    made = []
    for group in torch.split(frames, timing.group or frames.shape[0]):
        zeros = torch.zeros_like(group[:1]).expand(timing.zeros, -1, -1, -1)
        repeats = group[-1:].expand(timing.missing(group.shape[0]), -1, -1, -1)
        source = torch.cat([zeros, group, repeats]) if len(zeros) + len(repeats) else group
        made.append(compute(source, source.shape[0] // timing.shrink, as_it_is))
    latents = made[0] if len(made) == 1 else torch.cat(made)
    return latents[: latents.shape[0] - timing.tail]
