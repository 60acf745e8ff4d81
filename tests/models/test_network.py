"""Networks against plain ones of torch.nn, for random architectures and random tiles."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from taesd_stream.engine.running.executor import Executor
from taesd_stream.models.architectures import (
    taesana_decoder,
    taesana_encoder,
    taesd_decoder,
    taesd_encoder,
)
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.temporal import MemBlock
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.network import Network
from taesd_stream.models.video_architectures import (
    taehv_decoder,
    taehv_encoder,
    taehv_super_decoder,
    taesdv_decoder,
)
from tests.models.image_networks import ON_CPU, Part, architectures, pair, properties, tiled
from tests.plans import plan_for
from tiling import Size


@pytest.mark.parametrize("direction", ["up", "down"])
@properties
@given(data=st.data())
def test_any_network_in_any_tiles_is_the_plain_network(
    direction: Literal["up", "down"], data: st.DataObject
) -> None:
    parts = data.draw(architectures(direction))
    longest = 7 if direction == "up" else 30
    plane = data.draw(st.tuples(st.integers(1, longest), st.integers(1, longest)))
    tile = Size(*data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8))))
    ours, theirs = pair(parts)
    generator = torch.Generator().manual_seed(plane[0])
    tensor = torch.randn(2, parts[0].cin, *plane, generator=generator)
    kept = tensor.clone()
    expected = theirs(tensor)
    span = float(expected.max() - expected.min()) + 1e-6
    made = tiled(ours, tensor, tile, continued=data.draw(st.booleans()))
    assert float((made - expected).abs().max()) <= 1e-5 * max(span, 1)
    assert torch.equal(tensor, kept)


@properties
@given(architectures("up"), st.integers(1, 12))
def test_passes_begin_at_global_branches(parts: list[Part], size: int) -> None:
    ours, _ = pair(parts)
    assert [each.opening is not None for each in ours.passes] == [
        False,
        *[True for part in parts if part.pool],
    ]
    assert (ours.halo is None) == any(part.pool for part in parts)
    assert ours.out_channels == 3
    up = 2 ** sum(part.kind == "up" for part in parts)
    assert ours.scale == (up, 1)
    assert ours.out_plane(Size(size, size + 1)) == Size(size * up, (size + 1) * up)
    assert ours.latent_plane(Size(size, size)) == Size(size, size)


@pytest.mark.parametrize("build", [taesd_decoder, taesana_decoder])
def test_the_halo_of_a_decoder_is_how_far_a_latent_really_reaches(build: object) -> None:
    """A NaN spreads through every convolution: the pixels that it reaches show the halo."""
    network = decoder_of_ones(build)
    reach = network.halo
    assert reach is not None
    up, _ = network.scale
    # One row of latents is enough, and tells the same as a square.
    middle, width = reach + 1, 2 * reach + 3
    latents = torch.zeros(1, network.channels, 1, width)
    latents[..., middle] = torch.nan
    reached = {}
    for column in (middle - reach - 1, middle - reach, middle + reach, middle + reach + 1):
        stage = Executor(network, ON_CPU, plan_for(network, Size(1, 1)))._stages.over(
            Size(1, width), None
        )[0]
        (region,) = [r for r in stage.canvas.grid if r.x.start == column * up]
        rows = stage.each.body.span(region.y, 1)
        columns = stage.each.body.span(region.x, width)
        part = latents[..., columns.have.start : columns.have.stop]
        reached[column - middle] = bool(
            stage.each.body(part, rows, columns, TileState()).isnan().any()
        )
    assert reached == {-reach - 1: False, -reach: True, reach: True, reach + 1: False}


def decoder_of_ones(build: object) -> Network:
    assert callable(build)
    network = build(4)
    assert isinstance(network, Network)
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1e-3)
    return network.requires_grad_(False)


@pytest.mark.parametrize(
    ("network", "halo"),
    [
        (taesd_decoder(4), 19),
        (taesd_decoder(16), 19),
        (taesd_decoder(32, pool=True), None),
        (taesana_decoder(32), 20),
        (taesd_encoder(32, pool=True), None),
        (taesdv_decoder(4), 19),
        (taehv_decoder(16), 18),
        (taehv_decoder(48, patch=2), 18),
        (taehv_super_decoder(48), 18),
    ],
)
def test_halos_in_latents(network: Network, halo: int | None) -> None:
    assert network.halo == halo


@pytest.mark.parametrize(
    ("network", "scale"),
    [(taesd_decoder(4), (8, 1)), (taesd_encoder(4), (1, 8)), (taesana_encoder(32), (1, 32))],
)
def test_scales(network: Network, scale: tuple[int, int]) -> None:
    assert network.scale == scale


@pytest.mark.usefixtures("kernels_sum_in_one_order")
@pytest.mark.parametrize(
    ("network", "plane"),
    [
        (taesd_decoder(4), Size(3, 19)),
        (taesd_decoder(32, pool=True), Size(3, 19)),
        (taesana_decoder(32), Size(2, 8)),
        (taesd_encoder(4), Size(21, 110)),
        (taesana_encoder(32), Size(37, 230)),
    ],
    ids=["decoder", "with global branches", "sana", "encoder", "sana's encoder"],
)
@pytest.mark.parametrize("continued", [False, True])
def test_real_architectures_are_the_same_to_the_bit_in_any_tiles(
    network: Network, plane: Size, continued: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.06, generator=generator)
    network.requires_grad_(False)
    tensor = torch.randn(1, network.channels, plane.height, plane.width, generator=generator)
    expected = tiled(network, tensor, Size(99, 99))
    assert expected.std() > 0
    for tile in (Size(99, 1), Size(1, 7), Size(3, 20)):
        assert torch.equal(tiled(network, tensor, tile, continued=continued), expected)


def test_a_network_knows_its_layers_that_remember() -> None:
    names = [*("3", "4", "5"), *("9", "10", "11"), *("15", "16", "17")]
    assert list(taehv_decoder(16).stateful) == names
    pools = ["2", "7"]  # the third has nothing to wait for
    assert set(taehv_encoder(16).stateful) == {
        *pools,
        *(f"{n}" for n in (4, 5, 6, 9, 10, 11)),
        *(f"{n}" for n in (14, 15, 16)),
    }
    assert taesd_decoder(4).stateful == {}


def test_states_and_global_branches_do_not_go_together() -> None:
    block = MemBlock(Chain([Conv(8, 4)]))
    pooled = Residual(Chain([Conv(4, 4)]), pool=GlobalPool(4))
    with pytest.raises(TypeError, match="do not go together"):
        Network({0: block, 1: pooled}, 4)
