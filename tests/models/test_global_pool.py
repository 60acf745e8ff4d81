"""The global branch, put together from tiles, is the branch over the whole plane."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.moments import MixedMoments as Moments
from tiling import Block, Grid, Interval, Region, Size

properties = settings(max_examples=30, deadline=None, derandomize=True)


def plain_branch(channels: int, expansion: int, groups: int) -> nn.Sequential:
    inner = channels * expansion
    branch = nn.Sequential(
        nn.Conv2d(channels, inner, 1, bias=False),
        nn.GroupNorm(groups, inner),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, channels, 1, bias=False),
    )
    generator = torch.Generator().manual_seed(channels)
    for parameter in branch.parameters():
        nn.init.normal_(parameter, generator=generator)
    return branch.requires_grad_(False)


def moments_of(planes: Tensor, tile: int) -> Moments:
    frames, channels, height, width = planes.shape
    moments = Moments(frames, channels, height * width, planes.device)
    for region in Grid.of(Size(height, width), Size(tile, tile)):
        part = planes[:, :, region.y.start : region.y.stop, region.x.start : region.x.stop]
        for frame in range(frames):
            moments.add(Interval(frame, frame + 1), part[frame : frame + 1])
    return moments


def whole(frames: Interval, planes: Tensor) -> Block:
    return Block(frames, Region.whole(Size(*planes.shape[2:])))


@properties
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 4), st.sampled_from([1, 2, 4])),
    plane=st.tuples(st.integers(1, 9), st.integers(2, 9)),  # torch's norm refuses a lone pixel
    frames=st.integers(1, 3),
    tile=st.integers(1, 9),
)
def test_the_branch_from_tiles_is_the_branch_over_the_plane(
    sizes: tuple[int, int, int], plane: tuple[int, int], frames: int, tile: int
) -> None:
    channels, per_group, groups = sizes
    expansion = per_group * groups
    theirs = plain_branch(channels, expansion, groups)
    ours = GlobalPool(channels, expansion, groups)
    ours.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(tile)
    planes = torch.randn(frames, channels, *plane, generator=generator)
    normalised = ours.requires_grad_(False).normalise(moments_of(planes, tile))
    expected = planes + theirs(planes)
    made = normalised(planes, whole(Interval(0, frames), planes))
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)
    last = normalised(planes[-1:], whole(Interval(frames - 1, frames), planes))
    torch.testing.assert_close(last, made[-1:], atol=0, rtol=0)


def test_a_large_mean_does_not_drown_the_variance() -> None:
    theirs = plain_branch(4, 4, 4)
    ours = GlobalPool(4)
    ours.load_state_dict(theirs.state_dict())
    planes = torch.randn(1, 4, 12, 12, generator=torch.Generator().manual_seed(0)) + 300
    normalised = ours.requires_grad_(False).normalise(moments_of(planes, 5))
    exact = planes.double() + theirs.double()(planes.double())
    error = (normalised(planes, whole(Interval(0, 1), planes)).double() - exact).abs().max()
    assert error < 1e-2  # float32 itself resolves 3e-5 at 300, times weights and norm


def test_moments_are_sums_of_products_however_wide_the_tile() -> None:
    planes = torch.rand(1, 8, 300, 300, generator=torch.Generator().manual_seed(0))
    moments = Moments(1, 8, 300 * 300, planes.device)
    moments.add(Interval(0, 1), planes)  # larger than one band
    flat = planes.flatten(2).double()
    torch.testing.assert_close(moments.total, flat.sum(2))
    torch.testing.assert_close(moments.squares, flat @ flat.mT)


def test_figures() -> None:
    pool = GlobalPool(64)
    assert pool.work(10).multiplied == 2 * 64 * 256 + 64 * 64
    assert pool.peak(10, 10) == 10 * (3 * 64 + 256)
    assert list(pool.state_dict()) == ["0.weight", "1.weight", "1.bias", "3.weight"]


def test_a_branch_whose_norm_was_replaced_is_refused() -> None:
    pool = GlobalPool(4)
    pool.add_module("1", nn.Identity())
    with pytest.raises(TypeError, match="Identity"):
        pool.normalise(Moments(1, 4, 1, torch.device("cpu")))
