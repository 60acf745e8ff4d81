"""What passes cost, found from the few kinds of tiles that differ, against all tiles one by one."""

from __future__ import annotations

from itertools import product

import pytest

from taesd_stream.engine.backends import graph_cuts
from taesd_stream.engine.backends.graph_cuts import PaddedChain
from taesd_stream.models.architectures import taesd_decoder, taesd_encoder
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from taesd_stream.models.video_architectures import (
    taehv_decoder,
    taehv_encoder,
    taehv_super_decoder,
    taesdv_decoder,
)
from tiling import Size


@pytest.mark.parametrize(
    "network", [taesd_decoder(4), taesd_encoder(4), taesd_decoder(4, pool=True)]
)
def test_nothing_is_computed_twice_along_a_row_that_goes_on(network: Network) -> None:
    plane = Size(6, 45) if network.scale[1] == 1 else Size(61, 360)
    undivided = network.canvases(plane, Size(99, 99))
    for width in (1, 4, 7):
        plane_in = plane
        joined = network.canvases(plane, Size(99, width), continued=True)
        apart = network.canvases(plane, Size(99, width))
        for index, each in enumerate(network.passes):
            assert len(joined[index].grid) == -(-45 // width)
            least = each.figures(plane_in, undivided[index].grid).work
            work = each.figures(plane_in, joined[index].grid).work
            # Windows that make two elements are begun twice where a tile ends between these.
            assert least <= work <= least * (1 + 0.16 / width)
            twice = each.figures(plane_in, apart[index].grid).work
            assert work < twice or len(each.body.layers) <= 3  # one convolution has no halo
            plane_in = each.out_plane(plane_in)


@pytest.mark.parametrize(
    ("tile", "way"),
    [*product([3, 8, 13], ["apart", "continued"]), (5, "padded"), (13, "padded")],
)
@pytest.mark.parametrize(
    "network", [taesd_decoder(4), taesd_encoder(4), taesd_decoder(4, pool=True)]
)
def test_figures_of_a_grid_are_those_of_its_tiles_one_by_one(
    network: Network, tile: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work and peak are found from the few kinds of tiles that differ; here from all of them."""
    monkeypatch.setattr(graph_cuts, "_MOST_IN_ONE", 50)
    continued = way == "continued"
    plane = Size(45, 27) if network.scale[1] == 1 else Size(201, 123)
    canvases = network.canvases(plane, Size(tile, tile), continued=continued)
    grids = [canvas.grid for canvas in canvases]
    for each, grid in zip(network.passes, grids, strict=True):
        made = each.out_plane(plane)
        counted = PaddedChain(each.body) if way == "padded" else each.body
        work = peak = left = 0
        densities = [part.multiplied for part in each.body.work(each.channels)]
        for region in grid:
            clipped = region.clip(made)
            rows = each.body.span(clipped.y, plane.height)
            columns = each.body.span(clipped.x, plane.width, continued=continued)
            extents = zip(counted.extents(rows), counted.extents(columns), strict=True)
            work += sum(d * y * x for d, (y, x) in zip(densities, extents, strict=True))
            peak = max(peak, counted.peak(rows, columns, each.channels))
            if each.opening is not None:
                area = rows.have.size * columns.given.size
                work += each.opening.work(0).multiplied * area
                peak = max(peak, each.opening.peak(area, area))
            left = max(left, each.body.left(rows, columns, each.channels))
        figures = each.figures(plane, grid, counted)
        assert (figures.work, figures.live, figures.left) == (work, peak, left)
        assert (left > 0) == (continued and len(grid.columns) > 1)
        plane = made


@pytest.mark.parametrize("tile", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("network", "plane"),
    [
        (taesdv_decoder(4), Size(45, 2)),
        (taehv_decoder(16), Size(9, 43)),
        (taehv_super_decoder(48), Size(22, 3)),
        (taehv_encoder(16), Size(13, 350)),
        (taehv_encoder(48, patch=2), Size(699, 50)),
    ],
    ids=["taesdv", "taehv", "super", "encoder", "encoder of patches"],
)
def test_figures_of_a_video_network_are_those_of_its_tiles_one_by_one(
    network: Network, plane: Size, tile: int
) -> None:
    (only,) = network.passes
    (canvas,) = network.canvases(plane, Size(tile, tile))
    grid = canvas.grid
    work = peak = 0
    kept = []
    for region in grid:
        rows, columns = only.spans(region, plane)
        extents = zip(only.body.extents(rows), only.body.extents(columns), strict=True)
        densities = [part.multiplied for part in only.body.work(only.channels)]
        work += sum(d * y * x for d, (y, x) in zip(densities, extents, strict=True))
        peak = max(peak, only.body.peak(rows, columns, only.channels))
        kept.append(sum(each.elements for each in only.state_regions(region, plane)))
    figures = only.figures(plane, grid)
    assert (figures.work, figures.live) == (int(work), peak)
    assert (figures.kept, figures.most_kept) == (sum(kept), max(kept))


def test_what_layers_write_is_counted() -> None:
    """A convolution's output, and that of four 2x2 windows, one more of these along each axis."""
    layers: list[Layer] = [Conv(4, 8), ReLU(), Upsample(2), Conv(8, 3)]
    network = Network(dict(enumerate(layers)), 4)
    plane = Size(5, 6)
    (whole,) = network.canvases(plane, plane)
    (only,) = network.passes
    assert only.figures(plane, whole.grid).written == 8 * 5 * 6 + 3 * (2 * 6) * (2 * 7)
    (halves,) = network.canvases(plane, Size(5, 3))
    assert only.figures(plane, halves.grid).written > only.figures(plane, whole.grid).written


@pytest.mark.parametrize("network", [taesdv_decoder(4), taehv_decoder(16), taehv_super_decoder(48)])
def test_every_part_that_multiplies_writes(network: Network) -> None:
    (only,) = network.passes
    assert all(0 < part.written <= part.multiplied for part in only.body.work(only.channels))
