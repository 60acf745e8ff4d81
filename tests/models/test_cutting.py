"""Networks whose planes are kept, joined and resized, tile by tile, against plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taesd_stream.engine.running.executor import Executor
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_layer import (
    AddKept,
    Divided,
    JoinKept,
    Keep,
    Part,
    ReadNoise,
)
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.pointwise import Scale, SumOfPlanes
from taesd_stream.models.layers.pooling import AveragePool
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from taesd_stream.models.noise import noise
from tests.models.image_networks import ON_CPU
from tests.plans import plan_for
from tiling import WHOLE, Region, Size, View

EXACT = 1e-4
SEED = 3


class Joined(Divided):
    """One of everything: its convolutions are ``layers``, its norms ``norms``."""

    def __init__(self) -> None:
        super().__init__()
        convs = [Conv(2 + 3, 8), Conv(8, 8), Conv(8, 6), Conv(14, 4), Conv(4, 3)]
        convs += [Conv(8, 6, kernel=1), Conv(14, 4, kernel=1)]
        self.convs = torch.nn.ModuleList(convs)
        self.norms = torch.nn.ModuleList([GroupNorm(8, 4), GroupNorm(8, 2), GroupNorm(14, 2)])
        generator = torch.Generator().manual_seed(1)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator) / 4
        self.requires_grad_(False)

    def parts(self) -> Iterator[Part]:
        into, onward, down, up, out, around_down, around_up = self.convs
        first, second, both = self.norms
        yield Upsample(4)
        yield Scale([2.0, -1.0], [0.5, 0.0])
        yield Keep("latents")
        yield ReadNoise((1, 2))
        yield Keep("noises")
        yield ReadNoise((2,))
        yield JoinKept("latents")
        yield into
        yield Keep("skips")
        yield first
        yield onward
        yield Keep()
        yield second
        yield AveragePool(2)
        yield down
        yield AddKept(Chain([AveragePool(2), around_down]))
        yield Upsample(2)
        yield JoinKept("skips")
        yield Keep()
        yield both
        yield up
        yield AddKept(around_up)
        yield out
        yield AddKept(SumOfPlanes([0.25, 4.0]), "noises")

    def expected(self, latents: Tensor) -> Tensor:
        """The same, written down in plain PyTorch."""
        x = F.interpolate(latents, scale_factor=4, mode="nearest")
        x = x * torch.tensor([2.0, -1.0])[:, None, None] + torch.tensor([0.5, 0])[:, None, None]
        whole = Region.whole(Size(*x.shape[2:]))
        noises = [noise(SEED, number, whole, 3, x.device) for number in (1, 2)]
        skip = self._conv(0, torch.cat([noises[1].expand(x.shape[0], -1, -1, -1), x], dim=1))
        x = self._conv(1, self._norm(0, skip))
        inside = self._conv(2, F.avg_pool2d(self._norm(1, x), 2))
        x = inside + self._conv(5, F.avg_pool2d(x, 2))
        x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1)
        x = self._conv(3, self._norm(2, x)) + self._conv(6, x)
        return self._conv(4, x) + noises[0] / 4 + noises[1] * 4

    def _conv(self, index: int, x: Tensor) -> Tensor:
        conv = self.convs[index]
        assert isinstance(conv, Conv)
        return F.conv2d(x, conv.weight, conv.bias, padding=conv.weight.shape[-1] // 2)

    def _norm(self, index: int, x: Tensor) -> Tensor:
        norm = self.norms[index]
        assert isinstance(norm, GroupNorm)
        return F.silu(F.group_norm(x, norm.groups, norm.weight, norm.bias, norm.eps))


JOINED = Joined()
NETWORK = Network({"joined": JOINED}, 2)


def made(latents: Tensor, tile: Size, view: View = WHOLE, **options: Any) -> Tensor:
    plane = Size(*latents.shape[2:])
    plan = plan_for(NETWORK, tile, view=view, **options)
    plan = replace(plan, seed=SEED, passes=plan.passes * len(NETWORK.passes))
    size = NETWORK.out_plane(plane)
    out = torch.full((latents.shape[0], 3, *size), torch.nan)
    for block, part in Executor(NETWORK, ON_CPU, plan).run(latents):
        frames, y, x = block.slices
        out[frames, :, y, x] = part
    return out


def random_latents(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    sides=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    tile=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    count=st.integers(1, 2),
    scratch=st.booleans(),
)
def test_tiles_are_the_plain_network(
    sides: tuple[int, int], tile: tuple[int, int], count: int, scratch: bool
) -> None:
    latents = random_latents(count, 2, *sides)
    expected = JOINED.expected(latents)
    assert float((made(latents, Size(*tile), scratch=scratch) - expected).abs().max()) < EXACT


def test_the_scale_is_in_lowest_terms() -> None:
    assert NETWORK.scale == (4, 1)
    assert NETWORK.decodes
    assert NETWORK.out_plane(Size(3, 5)) == Size(12, 20)
    assert NETWORK.halo is None


def test_planes_that_are_joined_are_not_copied() -> None:
    """What is held at any time are the planes that somebody reads yet, each of them once."""
    numbers = [each.reads for each in NETWORK.passes]
    assert numbers[1] == (-2, 1)  # noise, and latents that are made again
    assert not NETWORK.passes[0].keeps
    joined = next(each for each in NETWORK.passes if len(each.reads) == 2 and min(each.reads) > 0)
    assert joined.channels == 14
    assert joined.adds is not None
    assert joined.adds.planes == joined.reads
    skip = joined.reads[1]
    assert all(skip in use.held for use in NETWORK.uses[skip - 1 : NETWORK.passes.index(joined)])
    assert all(number > 1 for use in NETWORK.uses for number in use.held)
    assert [use.frees for use in NETWORK.uses].count((skip,)) <= 1


def test_the_same_layers_are_one_chain_wherever_they_come_again() -> None:
    conv = Conv(2, 2)
    norm = GroupNorm(2, 1)
    network = Network({"twice": Twice(norm, conv)}, 2)
    assert len(network.passes) == 2
    assert network.passes[0].body is network.passes[1].body
    assert sorted(network.shapes()) == [f"twice.{n}.{w}" for n in "01" for w in ("bias", "weight")]


class Twice(Divided):
    def __init__(self, *layers: Any) -> None:
        super().__init__()
        self.layers = layers
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)

    def parts(self) -> Iterator[Part]:
        yield from (*self.layers, *self.layers)


@pytest.mark.parametrize("wrap", ["x", "y", "xy"])
def test_planes_that_go_around(wrap: str) -> None:
    latents = random_latents(1, 2, 7, 6)
    view = View(None, wraps_y="y" in wrap, wraps_x="x" in wrap)
    whole = made(latents, Size(7, 6), view)
    assert float((made(latents, Size(2, 3), view) - whole).abs().max()) < EXACT
    assert float((whole - JOINED.expected(latents)).abs().max()) > 0.1
