"""TAEF2's global branch: x + conv(relu(group_norm(conv(x)))), both convolutions 1x1.

The norm's statistics run over the whole plane, so no finite halo is exact. But the convolution
before it is linear: mean and variance of its output follow from the sums and the second moments of
its input. Those are gathered tile by tile while the plane is written; once they are known, the norm
is one more factor in the first convolution's weights and the branch is elementwise. Any division
into tiles gives the undivided result.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.convolve import convolve
from taesd_stream.models.layers.global_layer import GlobalLayer, Seen
from taesd_stream.models.layers.group_norm import group_figures
from taesd_stream.models.layers.layer import Work
from taesd_stream.models.layers.moments import MixedMoments, Moments
from tiling import Block

__all__ = ["GlobalPool", "NormalisedPool"]


class GlobalPool(GlobalLayer):
    """The branch before its statistics are known; ``normalise`` completes it.

    Its parameters are numbered as in the official checkpoints: 0 expands, 1 is the norm, 3 reduces.

    Args:
        channels: Channels of the plane.
        expansion: Channels inside the branch per channel of the plane.
        groups: Groups of the norm.
    """

    moments = MixedMoments

    def __init__(self, channels: int, expansion: int = 4, groups: int = 4) -> None:
        super().__init__()
        inner = channels * expansion
        self.channels, self.inner = channels, inner
        self.add_module("0", nn.Conv2d(channels, inner, 1, bias=False))
        self.add_module("1", nn.GroupNorm(groups, inner))
        self.add_module("3", nn.Conv2d(inner, channels, 1, bias=False))

    def plain(self, tensor: Tensor) -> Tensor:
        """x + branch(x) for a whole plane, (N, C, h, w), in plain differentiable PyTorch."""
        inside = self.get_submodule("1")(self.get_submodule("0")(tensor))
        branch: Tensor = self.get_submodule("3")(F.relu(inside))
        return tensor + branch

    def completed(self, seen: Seen) -> NormalisedPool:
        return self.normalise(seen.moments)

    def normalise(self, moments: Moments) -> NormalisedPool:
        """The branch for planes whose moments these are."""
        expand = self.get_parameter("0.weight")
        norm = self.get_submodule("1")
        if not isinstance(norm, nn.GroupNorm):
            raise TypeError(f"part 1 of the branch must be its norm, not {type(norm).__name__}")
        weight = expand.flatten(1).to(moments.total)
        mean = (moments.total @ weight.T) / moments.pixels
        square = ((weight @ moments.squares) * weight).sum(dim=2) / moments.pixels
        gain, offset = group_figures(norm, mean, square)
        folded = (gain[:, :, None] * weight)[..., None, None]
        return NormalisedPool(folded.to(expand), offset.to(expand), self.get_parameter("3.weight"))

    def work(self, plane_area: int) -> Work:
        return Work(2 * self.channels * self.inner + self.channels**2, self.channels)

    def peak(self, area: int, plane_area: int, frames: int = 1) -> int:
        return frames * area * (3 * self.channels + self.inner)


class NormalisedPool:
    """The branch with its norm folded into the first convolution, frame by frame.

    Args:
        expand: (N, inner, C, 1, 1).
        offset: (N, inner).
        reduce: (C, inner, 1, 1).
    """

    def __init__(self, expand: Tensor, offset: Tensor, reduce: Tensor) -> None:
        self.expand, self.offset, self.reduce = expand, offset, reduce

    def __call__(self, tensor: Tensor, block: Block) -> Tensor:
        """x + branch(x) for a tile, (n, C, h, w), of a block."""
        frames = block.frames
        out = torch.empty_like(tensor)
        for index, frame in enumerate(range(frames.start, frames.stop)):
            one = tensor[index : index + 1]
            inner = convolve(one, self.expand[frame], self.offset[frame]).relu_()
            out[index : index + 1] = convolve(inner, self.reduce).add_(one)
        return out
