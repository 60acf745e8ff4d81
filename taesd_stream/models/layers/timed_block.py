"""Residual blocks whose second norm is scaled and shifted by what a step of time says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_layer import (
    AddKept,
    Completed,
    GlobalLayer,
    Keep,
    Part,
    Seen,
)
from taesd_stream.models.layers.group_norm import GroupNorm, normalising, scaled
from taesd_stream.models.layers.layer import Layer, Work

__all__ = ["Embedded", "Norms", "TimedBlock"]

Embedded: TypeAlias = Callable[[], Tensor]
"""A step of time as a network sees it: (features,) in float32."""


@dataclass(frozen=True, slots=True)
class Norms:
    """The groups of every norm, and what is added to their variance."""

    groups: int = 32
    eps: float = 1e-5


class TimedBlock(nn.Module):
    """conv2(norm2(conv1(norm1(x)))) + x, with convolutions over planes of another size if wanted.

    Its weights serve any number of steps. Its parameters have the names of diffusers'
    ``ResnetBlock2D`` with ``time_embedding_norm="scale_shift"``.

    Args:
        width_in: Channels that it reads.
        width: Channels that it makes.
        features: Of an embedded step.
        norms: Its norms.
        resized: Makes planes larger or smaller, before the convolutions and around them.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        features: int,
        norms: Norms,
        resized: Layer | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = GroupNorm(width_in, norms.groups, norms.eps)
        self.conv1 = Conv(width_in, width)
        self.time_emb_proj = nn.Linear(features, 2 * width)
        self.norm2 = GroupNorm(width, norms.groups, norms.eps)
        self.conv2 = Conv(width, width)
        self._resized = [] if resized is None else [resized]
        around = list(self._resized)
        if width_in != width:
            self.conv_shortcut = Conv(width_in, width, kernel=1)
            around.append(self.conv_shortcut)
        # In a tuple, so that weights have one name each.
        self._around = (Chain(around) if around else None,)

    def parts(self, step: Embedded) -> Iterator[Part]:
        """The block at a step."""
        yield Keep()
        yield self.norm1
        yield from self._resized
        yield self.conv1
        yield _TimedNorm(self.norm2, self.time_emb_proj, step)
        yield self.conv2
        yield AddKept(*self._around)


class _TimedNorm(GlobalLayer):
    """A group norm, multiplied by 1 + scale, plus shift, and SiLU after it.

    Args:
        norm: The norm.
        projection: Makes scales and shifts of an embedded step.
        step: The step.
    """

    def __init__(self, norm: GroupNorm, projection: nn.Linear, step: Embedded) -> None:
        super().__init__()
        self.channels = norm.channels
        self._norm, self._projection, self._step = (norm,), (projection,), step

    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """(1, C, 1, 1) each, in float32; the scale has its 1."""
        (projection,) = self._projection
        made = F.linear(self._step(), projection.weight.float(), projection.bias.float())
        scale, shift = made[None, :, None, None].chunk(2, dim=1)
        return 1 + scale, shift

    def completed(self, seen: Seen) -> Completed:
        gain, offset = normalising(*self._norm, seen.moments)
        scale, shift = self._scale_and_shift()
        return scaled(gain * scale, offset * scale + shift, silu=True)

    def plain(self, tensor: Tensor) -> Tensor:
        (norm,) = self._norm
        normalised = F.group_norm(tensor, norm.groups, norm.weight, norm.bias, norm.eps)
        scale, shift = self._scale_and_shift()
        return F.silu(normalised * scale.to(tensor) + shift.to(tensor))

    def work(self, plane_area: int) -> Work:
        return self._norm[0].work(plane_area)

    def peak(self, area: int, plane_area: int, frames: int = 1) -> int:
        return self._norm[0].peak(area, plane_area, frames)
