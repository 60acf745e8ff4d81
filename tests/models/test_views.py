"""Parts of pictures, pictures that go around, and planes in files: against plain networks."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.engine.running.executor import Executor
from taesd_stream.models.architectures import taesd_decoder
from taesd_stream.models.network import Network
from tests.convolution import counted_work
from tests.models.image_networks import ON_CPU, Part, architectures, pair, properties, tiled
from tests.plans import plan_for
from tiling import Interval, Region, Size, View

Direction = Literal["up", "down"]


def circular(plain: nn.Sequential, view: View) -> nn.Sequential:
    """Let every convolution read the opposite side past the borders that go around."""

    def pad(conv: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        assert isinstance(conv, nn.Conv2d)
        reach = conv.kernel_size[0] // 2
        (tensor,) = inputs
        for dim, wraps in ((2, view.wraps_y), (3, view.wraps_x)):
            size = tensor.shape[dim]
            if wraps:
                index = torch.arange(-reach, size + reach) % size
                tensor = tensor.index_select(dim, index)
            else:
                zeros = torch.zeros_like(tensor.narrow(dim, 0, 1)).repeat_interleave(reach, dim)
                tensor = torch.cat([zeros, tensor, zeros], dim)
        return tensor

    for module in plain.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(pad)
            module.padding = (0, 0)
    return plain


@st.composite
def views(draw: st.DrawFn, made: Size) -> View:
    def piece(size: int) -> Interval:
        start = draw(st.integers(0, size - 1))
        return Interval(start, draw(st.integers(start + 1, size)))

    crop = Region(piece(made.height), piece(made.width)) if draw(st.booleans()) else None
    return View(crop, draw(st.booleans()), draw(st.booleans()))


def sides(direction: Direction, parts: list[Part]) -> st.SearchStrategy[int]:
    if direction == "up":
        return st.integers(1, 7)
    down = 2 ** sum(part.stride == 2 for part in parts)
    return st.integers(1, 30 // down).map(lambda latents: latents * down)


@pytest.mark.parametrize("direction", ["up", "down"])
@properties
@given(data=st.data())
def test_any_part_of_any_picture_that_goes_around_is_the_plain_networks(
    direction: Direction, data: st.DataObject
) -> None:
    parts = data.draw(architectures(direction))
    plane = data.draw(st.tuples(sides(direction, parts), sides(direction, parts)))
    ours, theirs = pair(parts)
    view = data.draw(views(ours.out_plane(Size(*plane))))
    tile = Size(*data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8))))
    generator = torch.Generator().manual_seed(plane[0])
    tensor = torch.randn(2, parts[0].cin, *plane, generator=generator)
    expected = circular(theirs, view)(tensor)
    span = max(float(expected.max() - expected.min()), 1)
    if view.crop is not None:
        y, x = view.crop.within(Region.whole(Size(*expected.shape[2:])))
        expected = expected[:, :, y, x]
    made = tiled(
        ours, tensor, tile, continued=data.draw(st.booleans()), view=view,
        scratch=data.draw(st.booleans()),
    )  # fmt: skip
    assert float((made - expected).abs().max()) <= 1e-5 * span


@properties
@given(st.data())
def test_a_run_from_a_band_on_makes_that_band_and_all_below(data: st.DataObject) -> None:
    parts = data.draw(architectures("up"))
    ours, _ = pair(parts)
    plane = Size(data.draw(st.integers(1, 9)), 3)
    view = data.draw(views(ours.out_plane(plane)))
    tile = Size(data.draw(st.integers(1, 4)), 2)
    tensor = torch.randn(1, parts[0].cin, 9, 3, generator=torch.Generator().manual_seed(1))
    tensor = tensor[:, :, : plane.height]
    bands = Executor(ours, ON_CPU, plan_for(ours, tile, view=view)).bands(plane)
    made = view.made(ours.out_plane(plane))
    assert [band.start for band in bands] == [0, *[band.stop for band in bands[:-1]]]
    assert bands[-1].stop == made.height
    first = data.draw(st.integers(0, len(bands) - 1))
    whole = tiled(ours, tensor, tile, continued=True, view=view)
    rest = tiled(ours, tensor, tile, continued=True, view=view, first_band=first)
    assert rest[:, :, : bands[first].start].isnan().all()
    assert torch.equal(rest[:, :, bands[first].start :], whole[:, :, bands[first].start :])


def initialised(network: Network) -> Network:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)
    return network.requires_grad_(False)


def test_a_crop_computes_what_it_depends_on_and_no_more() -> None:
    network = initialised(taesd_decoder(4))
    latents = torch.randn(1, 4, 45, 46, generator=torch.Generator().manual_seed(0))
    # A latent and two, with all 19 around them.
    crop = Region(Interval(22 * 8, 23 * 8), Interval(22 * 8 + 3, 24 * 8 - 2))
    with counted_work() as part:
        tiled(network, latents, Size(99, 99), view=View(crop))
    with counted_work() as around:
        tiled(network, latents[:, :, 3:42, 3:43], Size(99, 99))
    assert part.done < around.done / 8


@pytest.mark.usefixtures("kernels_sum_in_one_order")
@pytest.mark.parametrize("pool", [False, True])
def test_rolling_the_latents_rolls_the_picture(pool: bool) -> None:
    network = initialised(taesd_decoder(4, pool=pool))
    latents = torch.randn(1, 4, 6, 9, generator=torch.Generator().manual_seed(0))
    view = View(wraps_y=True, wraps_x=True)
    made = tiled(network, latents, Size(3, 4), continued=True, view=view)
    rolled = tiled(network, latents.roll((2, 5), (2, 3)), Size(2, 9), continued=True, view=view)
    torch.testing.assert_close(
        rolled, made.roll((16, 40), (2, 3)), atol=0 if not pool else 1e-6, rtol=0
    )
