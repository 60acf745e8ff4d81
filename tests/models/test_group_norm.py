"""Group norms and attention of whole planes, from what was gathered of them in tiles."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.attention import Attention
from taesd_stream.models.layers.global_layer import Seen
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.moments import Moments
from tiling import Block, Grid, Interval, Region, Size


class Whole:
    """A plane in memory."""

    def __init__(self, planes: Tensor) -> None:
        self._planes = planes
        self.height, self.width = planes.shape[2:]

    def read(self, frame: int, region: Region, /) -> Tensor:
        y, x = region.within(Region.whole(Size(self.height, self.width)))
        return self._planes[frame : frame + 1, :, y, x]


def seen_in_tiles(planes: Tensor, tile: int) -> Seen:
    frames, channels, height, width = planes.shape
    moments = Moments(frames, channels, height * width, planes.device)
    for region in Grid.of(Size(height, width), Size(tile, tile)):
        y, x = region.within(Region.whole(Size(height, width)))
        moments.add(Interval(0, frames), planes[:, :, y, x])
    return Seen(moments, Whole(planes))


def drawn(layer: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in layer.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) / 2
        weight.requires_grad_(False)


@pytest.mark.parametrize("mean", [0.0, 50.0, -3000.0], ids=["centred", "off", "far off"])
def test_a_norm_from_tiles_is_the_norm_of_the_plane(mean: float) -> None:
    """Also where channels lie far from zero, whose squares would drown what they deviate by."""
    planes = torch.randn(2, 12, 21, 17, generator=torch.Generator().manual_seed(1)) + mean
    norm = GroupNorm(12, groups=4, eps=1e-6)
    drawn(norm)
    exact = F.silu(F.group_norm(planes.double(), 4, norm.weight.double(), norm.bias.double(), 1e-6))
    made = norm.completed(seen_in_tiles(planes, 5))
    region = Region(Interval(3, 11), Interval(2, 9))
    part = made(planes[1:, :, 3:11, 2:9], Block(Interval(1, 2), region))
    limit = 1e-5 + abs(mean) * 3e-6  # float32 itself
    assert float((part.double() - exact[1:, :, 3:11, 2:9]).abs().max()) < limit


def test_attention_of_a_tile_is_attention_of_the_plane() -> None:
    planes = torch.randn(2, 8, 9, 7, generator=torch.Generator().manual_seed(2))
    layer = Attention(8, groups=2)
    drawn(layer)
    attended = layer.completed(seen_in_tiles(planes, 4))
    region = Region(Interval(2, 6), Interval(1, 7))
    part = attended(planes[:, :, 2:6, 1:7], Block(Interval(0, 2), region))
    expected = (layer.plain(planes) - planes)[:, :, 2:6, 1:7]
    torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)
