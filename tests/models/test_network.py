"""Networks against plain ones of torch.nn, for random architectures and random tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.engine.executor import Executor
from taesd_stream.engine.settings import Settings
from taesd_stream.models.architectures import (
    taesana_decoder,
    taesana_encoder,
    taesd_decoder,
    taesd_encoder,
)
from taesd_stream.models.chain import Chain, Residual
from taesd_stream.models.conv import Conv
from taesd_stream.models.global_pool import GlobalPool
from taesd_stream.models.layers import Layer, ReLU, SoftClamp, Upsample
from taesd_stream.models.memory import Memory
from taesd_stream.models.network import Network
from taesd_stream.models.temporal import MemBlock
from taesd_stream.models.video_architectures import (
    taehv_decoder,
    taehv_encoder,
    taehv_super_decoder,
    taesdv_decoder,
)
from tiling import Size

properties = settings(max_examples=40, deadline=None, derandomize=True)
ON_CPU = Settings(torch.device("cpu"), torch.float32, "torch")


@dataclass(frozen=True)
class Part:
    """One layer, described so that both kinds of network can be built from it."""

    kind: Literal["clamp", "conv", "relu", "up", "block"]
    cin: int
    cout: int
    kernel: int = 3
    stride: int = 1
    bias: bool = True
    pool: bool = False


class PlainClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class PlainBlock(nn.Module):
    def __init__(self, part: Part) -> None:
        super().__init__()
        cin, cout = part.cin, part.cout
        self.conv = nn.Sequential(
            nn.Conv2d(cin, cout, 3, padding=1), nn.ReLU(), nn.Conv2d(cout, cout, 3, padding=1)
        )
        self.skip = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1, bias=False)
        if part.pool:
            self.pool = nn.Sequential(
                nn.Conv2d(cin, 4 * cin, 1, bias=False),
                nn.GroupNorm(4, 4 * cin),
                nn.ReLU(),
                nn.Conv2d(4 * cin, cin, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return (self.conv(x) + self.skip(x)).relu()


def plain_layer(part: Part) -> nn.Module:
    match part.kind:
        case "clamp":
            return PlainClamp()
        case "relu":
            return nn.ReLU()
        case "up":
            return nn.Upsample(scale_factor=2)
        case "block":
            return PlainBlock(part)
    padding = part.kernel // 2
    return nn.Conv2d(part.cin, part.cout, part.kernel, part.stride, padding, bias=part.bias)


def our_layer(part: Part) -> Layer:
    match part.kind:
        case "clamp":
            return SoftClamp()
        case "relu":
            return ReLU()
        case "up":
            return Upsample(2)
        case "block":
            convs = [Conv(part.cin, part.cout), ReLU(), Conv(part.cout, part.cout)]
            skip = None if part.cin == part.cout else Conv(part.cin, part.cout, 1, bias=False)
            return Residual(Chain(convs), skip, GlobalPool(part.cin) if part.pool else None)
    return Conv(part.cin, part.cout, part.kernel, part.stride, bias=part.bias)


def pair(parts: Sequence[Part]) -> tuple[Network, nn.Sequential]:
    """The same random weights in our network and in a plain one."""
    theirs = nn.Sequential(*map(plain_layer, parts))
    generator = torch.Generator().manual_seed(len(parts))
    for parameter in theirs.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4, generator=generator)
    ours = Network(dict(enumerate(our_layer(part) for part in parts)), parts[0].cin)
    assert ours.shapes() == {n: tuple(t.shape) for n, t in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    return ours.requires_grad_(False), theirs.requires_grad_(False)


@st.composite
def architectures(draw: st.DrawFn, direction: Literal["up", "down"]) -> list[Part]:
    """A network of random widths that scales in one direction, global branches among it."""
    width = draw(st.integers(1, 5))
    cin = draw(st.integers(1, 5))
    parts = [Part("clamp", cin, cin)] if draw(st.booleans()) else []
    parts += [Part("conv", cin, width), Part("relu", width, width)]
    stages = draw(st.integers(1, 3))
    for stage in range(stages):
        # A global branch is computed at the scale of latents, wherever it stands.
        pooled = stage == (0 if direction == "up" else stages - 1) and draw(st.booleans())
        wider = draw(st.integers(1, 5))
        kernel = draw(st.sampled_from([1, 3, 5]))
        if direction == "down" and pooled:
            parts.append(Part("conv", width, width, stride=2, bias=False))
        for _ in range(draw(st.integers(0, 2))):
            after = draw(st.sampled_from([width, wider]))
            parts.append(Part("block", width, after, pool=pooled))
            width = after
        if direction == "up":
            parts += [Part("up", width, width), Part("conv", width, wider, kernel, bias=False)]
        elif not pooled:
            parts += [Part("conv", width, wider, stride=2, bias=False)]
        else:
            parts += [Part("conv", width, wider, kernel)]
        width = wider
    return [*parts, Part("conv", width, 3)]


def tiled(network: Network, tensor: Tensor, tile: Size, *, continued: bool = False) -> Tensor:
    made = network.out_plane(Size(*tensor.shape[2:]))
    out = torch.full((len(tensor), network.out_channels, made.height, made.width), torch.nan)
    for block, part in Executor(network, ON_CPU, tile, continued=continued).run(tensor):
        frames, y, x = block.slices
        out[frames, :, y, x] = part
    return out


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
    assert [each.pool is not None for each in ours.passes] == [
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
        stage = Executor(network, ON_CPU, Size(1, 1))._stages(Size(1, width), None)[0]
        (region,) = [r for r in stage.grid if r.x.start == column * up]
        rows = stage.each.body.span(region.y, 1)
        columns = stage.each.body.span(region.x, width)
        part = latents[..., columns.have.start : columns.have.stop]
        reached[column - middle] = bool(
            stage.each.body(part, rows, columns, Memory()).isnan().any()
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
        (taesd_decoder(4), Size(6, 23)),
        (taesd_decoder(32, pool=True), Size(6, 23)),
        (taesana_decoder(32), Size(2, 9)),
        (taesd_encoder(4), Size(37, 170)),
        (taesana_encoder(32), Size(37, 330)),
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
    for tile in (Size(99, 1), Size(4, 3), Size(1, 7), Size(3, 20)):
        assert torch.equal(tiled(network, tensor, tile, continued=continued), expected)


def test_a_network_knows_its_layers_that_remember() -> None:
    names = [*("3", "4", "5"), *("9", "10", "11"), *("15", "16", "17")]
    assert list(taehv_decoder(16).memories) == names
    pools = ["2", "7"]  # the third has nothing to wait for
    assert set(taehv_encoder(16).memories) == {
        *pools,
        *(f"{n}" for n in (4, 5, 6, 9, 10, 11)),
        *(f"{n}" for n in (14, 15, 16)),
    }
    assert taesd_decoder(4).memories == {}


def test_memories_and_global_branches_do_not_go_together() -> None:
    block = MemBlock(Chain([Conv(8, 4)]))
    pooled = Residual(Chain([Conv(4, 4)]), pool=GlobalPool(4))
    with pytest.raises(TypeError, match="do not go together"):
        Network({0: block, 1: pooled}, 4)
