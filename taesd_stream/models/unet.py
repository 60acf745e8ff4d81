"""A UNet of residual blocks that know the step of time: diffusers' UNet2DModel without attention.

Source: github.com/huggingface/diffusers, unet_2d.py and unet_2d_blocks.py
(``ResnetDownsampleBlock2D`` and ``ResnetUpsampleBlock2D``), whose names these are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_layer import JoinKept, Keep, Part
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.pooling import AveragePool
from taesd_stream.models.layers.timed_block import Norms, TimedBlock
from taesd_stream.models.layers.upsampling import Upsample

__all__ = ["UNet", "UNetSizes"]

_SKIPS = "skips"


@dataclass(frozen=True, slots=True)
class UNetSizes:
    """The sizes of a UNet.

    Attributes:
        channels_in: Channels that it reads.
        channels_out: Channels that it makes.
        widths: Channels of each scale, from the largest plane to the smallest.
        blocks: Blocks at each scale on the way down; on the way up there is one more.
        steps: Of time, for which it was trained.
        norms: Its norms.
    """

    channels_in: int
    channels_out: int
    widths: tuple[int, ...]
    blocks: int
    steps: int = 1024
    norms: Norms = field(default_factory=Norms)


class UNet(nn.Module):
    """The weights of a UNet, whose parts serve any number of steps.

    Args:
        sizes: Its sizes.
    """

    def __init__(self, sizes: UNetSizes) -> None:
        super().__init__()
        first, features = sizes.widths[0], 4 * sizes.widths[0]
        self.conv_in = Conv(sizes.channels_in, first)
        self.time_proj = nn.Embedding(sizes.steps, first)
        self.time_embedding = nn.Module()
        self.time_embedding.linear_1 = nn.Linear(first, features)
        self.time_embedding.linear_2 = nn.Linear(features, features)
        block = partial(TimedBlock, features=features, norms=sizes.norms)
        skips, down, up = [first], [], []
        for scale, width in enumerate(sizes.widths):
            blocks = []
            for _ in range(sizes.blocks):
                blocks.append(block(skips[-1], width))
                skips.append(width)
            is_last = scale == len(sizes.widths) - 1
            changes = [] if is_last else [block(width, width, resized=AveragePool(2))]
            skips += [width] * len(changes)
            down.append(_Blocks(blocks, downsamplers=changes))
        before = widest = sizes.widths[-1]
        for scale, width in reversed(list(enumerate(sizes.widths))):
            blocks = []
            for _ in range(sizes.blocks + 1):
                blocks.append(block(before + skips.pop(), width))
                before = width
            changes = [block(width, width, resized=Upsample(2))] if scale else []
            up.append(_Blocks(blocks, upsamplers=changes))
        self.down_blocks, self.up_blocks = nn.ModuleList(down), nn.ModuleList(up)
        self.mid_block = _Blocks([block(widest, widest), block(widest, widest)])
        self._down, self._up = tuple(down), tuple(up)
        self.conv_norm_out = GroupNorm(first, sizes.norms.groups, sizes.norms.eps)
        self.conv_out = Conv(first, sizes.channels_out)

    def at(self, step: int) -> Iterator[Part]:
        """The UNet at a step of time; what it reads may be planes side by side."""
        embedded = partial(self._embedded, step)
        yield self.conv_in
        yield Keep(_SKIPS)
        for blocks in self._down:
            for block in (*blocks.own, *blocks.changes):
                yield from block.parts(embedded)
                yield Keep(_SKIPS)
        for block in self.mid_block.own:
            yield from block.parts(embedded)
        for blocks in self._up:
            for block in blocks.own:
                yield JoinKept(_SKIPS)
                yield from block.parts(embedded)
            for block in blocks.changes:
                yield from block.parts(embedded)
        yield self.conv_norm_out
        yield self.conv_out

    def _embedded(self, step: int) -> Tensor:
        features = self.time_proj.weight[step].float()
        for name in ("linear_1", "linear_2"):
            linear = self.time_embedding.get_submodule(name)
            weight, bias = linear.get_parameter("weight"), linear.get_parameter("bias")
            features = F.silu(F.linear(features, weight.float(), bias.float()))
        return features


class _Blocks(nn.Module):
    """Blocks of one scale.

    Attributes:
        own: Those that keep the plane's size.
        changes: The one that changes to the next scale, if any.
    """

    def __init__(
        self,
        resnets: Sequence[TimedBlock],
        *,
        downsamplers: Sequence[TimedBlock] = (),
        upsamplers: Sequence[TimedBlock] = (),
    ) -> None:
        super().__init__()
        self.own, self.changes = tuple(resnets), (*downsamplers, *upsamplers)
        self.resnets = nn.ModuleList(resnets)
        self.downsamplers = nn.ModuleList(downsamplers)
        self.upsamplers = nn.ModuleList(upsamplers)
