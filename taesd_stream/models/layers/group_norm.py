"""Group norms over whole planes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.global_layer import Completed, GlobalLayer, Seen
from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.moments import Moments
from taesd_stream.models.layers.operators import Operator
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState
from tiling import Block

__all__ = ["GroupNorm", "KnownNorm", "group_figures", "normalising", "scaled"]


class GroupNorm(GlobalLayer):
    """A group norm, and SiLU after it if wanted.

    Mean and variance of a group follow from the sums, and the sums of squares, of its channels.

    Args:
        channels: Channels of the plane.
        groups: Groups of them.
        eps: Added to the variance.
        silu: Whether x * sigmoid(x) follows.
        over_frames: Whether all frames of a chunk have one mean and one variance.
    """

    def __init__(
        self,
        channels: int,
        groups: int = 32,
        eps: float = 1e-6,
        *,
        silu: bool = True,
        over_frames: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.groups, self.eps = channels, groups, eps
        self.silu, self.over_frames = silu, over_frames
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def plain(self, tensor: Tensor) -> Tensor:
        weights = self.groups, self.weight, self.bias, self.eps
        if self.over_frames:
            made = F.group_norm(tensor.movedim(0, 1)[None], *weights)[0].movedim(1, 0)
        else:
            made = F.group_norm(tensor, *weights)
        return F.silu(made) if self.silu else made

    def completed(self, seen: Seen) -> Completed:
        return scaled(*normalising(self, seen.moments), silu=self.silu)

    def work(self, plane_area: int) -> Work:
        return Work(_EACH_COSTS * self.channels, self.channels)

    def peak(self, area: int, plane_area: int, frames: int = 1) -> int:
        return 3 * frames * area * self.channels


def scaled(gain: Tensor, offset: Tensor, *, silu: bool) -> Completed:
    """Multiplies by a gain, adds an offset, (N, C, 1, 1) each in float32, and SiLU if wanted."""

    def made_of(tile: Tensor, block: Block) -> Tensor:
        here = block.slices[0]
        # Figures in float32 round 16 bits once, and not three times.
        made = torch.addcmul(offset[here], tile, gain[here])
        if silu:
            F.silu(made, inplace=True)
        return made.to(tile.dtype)

    return made_of


class KnownNorm(Layer):
    """A group norm whose figures are known before any tile is made, from elsewhere.

    Args:
        norm: Whose they are.
    """

    def __init__(self, norm: GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield self._normalised

    def _normalised(self, tensor: Tensor, state: TileState, /) -> Tensor:
        return state.known[self.norm](tensor, state.block)

    def plain(self, tensor: Tensor) -> Tensor:
        return self.norm.plain(tensor)

    def work(self, channels: int) -> Iterator[Work]:
        yield self.norm.work(0)

    def extents(self, span: Span) -> Iterator[int]:
        yield span.want.size

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 2 * rows.want.size * columns.want.size * channels


def normalising(norm: GroupNorm, moments: Moments) -> tuple[Tensor, Tensor]:
    """The factor of every channel, and what is added then: (N, C, 1, 1) each, in float32."""
    mean, square = moments.total / moments.pixels, moments.squares / moments.pixels
    gain, offset = group_figures(norm, mean, square, over_frames=norm.over_frames)
    return gain[..., None, None].float(), offset[..., None, None].float()


def group_figures(
    norm: GroupNorm | nn.GroupNorm, mean: Tensor, square: Tensor, *, over_frames: bool = False
) -> tuple[Tensor, Tensor]:
    """The factor of every channel, and what is added then, (N, C) each.

    Args:
        norm: The norm.
        mean: (N, C), of every channel.
        square: (N, C), the mean of the squares of every channel.
        over_frames: Whether all frames have one mean and one variance.
    """
    groups = norm.groups if isinstance(norm, GroupNorm) else norm.num_groups
    frames, channels = mean.shape
    grouped, over = (frames, groups, channels // groups), (0, 2) if over_frames else (2,)
    of_group = mean.view(grouped).mean(dim=over, keepdim=True)
    square_of_group = square.view(grouped).mean(dim=over, keepdim=True)
    deviation = (square_of_group - of_group**2).clamp_min(0).add(norm.eps).sqrt()
    gain = norm.weight.to(mean).view(1, *grouped[1:]) / deviation
    offset = norm.bias.to(mean).view(1, *grouped[1:]) - gain * of_group
    return gain.expand(grouped).flatten(1), offset.expand(grouped).flatten(1)


# The multiply-adds of a convolution that take as long as it takes to gather the moments of an
# element, to normalise it, and SiLU: 128 channels at 64x256, on one core with AVX-512, 3.0 and 2.4
# ms, a 3x3 convolution of them 34.8 ms.
_EACH_COSTS = 180
