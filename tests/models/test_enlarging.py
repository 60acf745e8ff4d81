"""Upsampling folded into the convolution after it, against the two one after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv, fuse_enlarging
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.layers.upsampling import Upsample
from tiling import Interval

properties = settings(max_examples=80, deadline=None, derandomize=True)


def conv_of(channels_in: int, channels_out: int, *, bias: bool) -> Conv:
    generator = torch.Generator().manual_seed(channels_in * 8 + channels_out)
    conv = Conv(channels_in, channels_out, bias=bias)
    for parameter in conv.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    return conv.requires_grad_(False)


@properties
@given(st.data())
def test_any_part_is_that_of_the_enlarged_and_convolved_plane(data: st.DataObject) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    conv = conv_of(data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4)), bias=True)
    plane = torch.randn(2, conv.weight.shape[1], height, width)
    large = F.interpolate(plane, scale_factor=2, mode="nearest")
    whole = F.conv2d(large, conv.weight, conv.bias, padding=1)
    layer = EnlargingConv(conv)
    top = data.draw(st.integers(0, 2 * height - 1))
    left = data.draw(st.integers(0, 2 * width - 1))
    rows = layer.span(Interval(top, data.draw(st.integers(top + 1, 2 * height))), height)
    columns = layer.span(Interval(left, data.draw(st.integers(left + 1, 2 * width))), width)
    y, x = rows.have, columns.have
    made = layer(plane[:, :, y.start : y.stop, x.start : x.stop], rows, columns, TileState())
    y, x = rows.want, columns.want
    expected = whole[:, :, y.start : y.stop, x.start : x.stop]
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    assert made.is_contiguous(memory_format=torch.channels_last)


@properties
@given(st.data())
def test_one_transposed_convolution_makes_the_same(data: st.DataObject) -> None:
    """What devices other than CPUs are given."""
    height, width = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    conv = conv_of(data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4)), bias=True)
    plane = torch.randn(2, conv.weight.shape[1], height, width)
    layer, starts = EnlargingConv(conv), (2 * height - 1, 2 * width - 1)
    firsts = [data.draw(st.integers(0, last)) for last in starts]
    rows, columns = (
        layer.span(Interval(first, data.draw(st.integers(first + 1, last + 1))), (last + 1) // 2)
        for first, last in zip(firsts, starts, strict=True)
    )
    y, x = rows.have, columns.have
    part = plane[:, :, y.start : y.stop, x.start : x.stop]
    made = layer.spread(rows, columns)(part, TileState())
    torch.testing.assert_close(made, layer(part, rows, columns, TileState()), atol=1e-5, rtol=0)


def test_what_is_folded_follows_the_weights_until_they_are_folded_for_good() -> None:
    layer = EnlargingConv(conv_of(2, 2, bias=False))
    rows = layer.span(Interval(0, 4), 2)
    plane = torch.ones(1, 2, 2, 2)
    first = layer(plane, rows, rows, TileState())
    assert torch.equal(layer(plane, rows, rows, TileState()), first)
    layer.conv.weight.mul_(2)
    assert torch.equal(layer(plane, rows, rows, TileState()), 2 * first)
    layer.fold()
    assert torch.equal(layer(plane, rows, rows, TileState()), 2 * first)
    layer.conv.weight.mul_(2)
    assert torch.equal(layer(plane, rows, rows, TileState()), 2 * first)


def test_only_what_can_be_folded_is() -> None:
    conv = Conv(2, 2)
    (fused,) = fuse_enlarging([Upsample(2), conv])
    assert isinstance(fused, EnlargingConv)
    assert fused.conv is conv
    for layers in (
        [Upsample(3), conv],
        [Upsample(2), ReLU(), conv],
        [Upsample(2), Conv(2, 2, kernel=1)],
        [Upsample(2), Conv(2, 2, kernel=5)],
        [Upsample(2), Conv(2, 2, stride=2)],
        [Upsample(2), Conv(2, 2, groups=2)],
        [conv, Upsample(2)],
    ):
        assert fuse_enlarging(layers) == layers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_as_exact_as_without_folding(dtype: torch.dtype) -> None:
    conv = conv_of(16, 16, bias=False)
    plane = torch.randn(1, 16, 24, 24)
    large = F.interpolate(plane, scale_factor=2, mode="nearest")
    exact = F.conv2d(large, conv.weight, padding=1)
    conv.to(dtype)
    plain = F.conv2d(large.to(dtype), conv.weight, padding=1)
    layer = EnlargingConv(conv)
    span = layer.span(Interval(0, 48), 24)
    made = layer(plane.to(dtype), span, span, TileState())
    assert (made - exact).abs().mean() <= 1.25 * (plain - exact).abs().mean()
