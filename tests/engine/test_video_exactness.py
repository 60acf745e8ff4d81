"""A video cut in any way, along time and across the picture, is the video computed at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from taesd_stream.engine.running.executor import Executor
from taesd_stream.models.network import Network
from tests.engine.video_networks import (
    CLOSE,
    ON_CPU,
    Direction,
    Way,
    a_video,
    architectures,
    computed,
    network_of,
    plain_network,
    properties,
    sides_of,
    sizes,
    ways,
)
from tests.plans import plan_for
from tiling import Size


@pytest.mark.parametrize("direction", ["decoder", "encoder"])
@properties
@given(data=st.data(), course=st.lists(ways, min_size=1, max_size=4))
def test_any_cut_of_time_and_picture_makes_the_plain_video(
    direction: Direction, data: st.DataObject, course: list[Way]
) -> None:
    parts = data.draw(architectures(direction))
    steps = data.draw(st.integers(1, 7 if direction == "decoder" else 14))
    plane = data.draw(sizes if direction == "decoder" else sizes.map(lambda size: size.scale(3)))
    network = network_of(parts)
    video = a_video(network, steps, plane)
    kept = video.clone()
    expected = plain_network(parts, network, video)
    (tile,) = _undivided(network, video)
    torch.testing.assert_close(tile, expected, **CLOSE)
    torch.testing.assert_close(computed(network, video, course), expected, **CLOSE)
    assert torch.equal(video, kept)


def _undivided(network: Network, video: Tensor) -> list[Tensor]:
    plane = Size(*video.shape[2:])
    run = Executor(network, ON_CPU, plan_for(network, plane, len(video))).run(video)
    up, down = network.rate
    return [tile for _, tile in run] or [
        torch.zeros(
            len(video) * up // down, network.out_channels, *sides_of(network.out_plane(plane))
        )
    ]
