"""Memory that runs out in mid video changes nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from tests.convolution import before_convolutions
from tests.engine.video_networks import (
    CLOSE,
    Direction,
    Part,
    Way,
    a_video,
    computed,
    network_of,
    plain_network,
    properties,
    ways,
)
from tiling import Size, StorageKind

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


ON_THE_CPU = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1")


@contextmanager
def memory_runs_out(fails: Callable[[int], bool]) -> Iterator[list[int]]:
    """Convolutions of these numbers fail; the list yielded holds all numbers so far."""
    calls = list[int]()

    def failing(tensor: Tensor) -> None:
        calls.append(len(calls))
        if fails(calls[-1]):
            raise ON_THE_CPU.with_traceback(None)

    with pytest.MonkeyPatch.context() as patch:
        before_convolutions(patch, failing)
        yield calls


SMALL: dict[Direction, list[Part]] = {
    "decoder": [
        Part("conv", 2, 3),
        Part("memory", 3, 3, 2),
        Part("grow", 3, 3, 2),
        Part("up", 3, 3, 2),
        Part("conv", 3, 2),
        Part("memory", 2, 2),
        Part("conv", 2, 1),
    ],
    "encoder": [
        Part("conv", 2, 3),
        Part("pool", 3, 3, 2),
        Part("conv", 3, 3, 2),
        Part("memory", 3, 3, 2),
        Part("pool", 3, 3, 2),
        Part("conv", 3, 2),
    ],
}


@pytest.mark.parametrize(
    ("tile", "batch", "segment", "storage"),
    [
        (Size(9, 9), 1, None, "device"),
        (Size(9, 9), 3, 4, "scratch"),
        (Size(2, 3), 1, 2, "device"),
        (Size(2, 3), 2, 3, "scratch"),
        (Size(3, 3), 2, None, "scratch"),
    ],
    ids=["undivided", "undivided in segments", "tiles", "tiles in batches", "tile by tile"],
)
@pytest.mark.parametrize("direction", ["decoder", "encoder"])
def test_memory_that_runs_out_at_any_convolution_changes_nothing(
    direction: Direction, tile: Size, batch: int, segment: int | None, storage: StorageKind
) -> None:
    """Tiles are cut in the middle of a video and of a segment; the next steps begin with them."""
    parts = SMALL[direction]
    network = network_of(parts)
    plane = Size(4, 5) if direction == "decoder" else Size(8, 9)
    video = a_video(network, 9, plane)
    expected = plain_network(parts, network, video)
    course = [Way(steps, tile, batch, segment, storage, False) for steps in (1, 7)]
    with memory_runs_out(lambda call: False) as calls:
        computed(network, video, course)
    # Once, twice in a row, and again after a while: three sizes of tiles in one video.
    later = cycle([(), (1,), (17,)])
    for first in range(0, len(calls) - 20, max(1, len(calls) // 8)):
        failing = {first, *(first + calls_later for calls_later in next(later))}
        with memory_runs_out(failing.__contains__) as tried:
            made = computed(network, video, course)
        assert len(tried) > first
        torch.testing.assert_close(made, expected, **CLOSE)


@properties
@given(
    direction=st.sampled_from(["decoder", "encoder"]),
    course=st.lists(ways, min_size=1, max_size=3),
    failing=st.sets(st.integers(0, 150), min_size=1, max_size=5),
)
def test_memory_that_runs_out_again_and_again_changes_nothing_either(
    direction: Direction, course: list[Way], failing: set[int]
) -> None:
    parts = SMALL[direction]
    network = network_of(parts)
    video = a_video(network, 9, Size(5, 5) if direction == "decoder" else Size(9, 10))
    expected = plain_network(parts, network, video)
    with memory_runs_out(failing.__contains__):
        try:
            made = computed(network, video, course)
        except ts.OutOfMemoryError:
            return  # it ran out at a tile that cannot be cut
    torch.testing.assert_close(made, expected, **CLOSE)


@pytest.mark.parametrize("name", ["taesdv", "taehv"])
def test_a_model_out_of_memory_in_mid_video_makes_the_same_video(name: str, model: Models) -> None:
    ae = model(name)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 3, ae.spec.latent_channels, 2, 3, generator=generator)
    images = torch.rand(1, 5, 3, 16, 24, generator=generator)
    expected, encoded = ae.decode(latents, tile=None), ae.encode(images, tile=None)
    frames = list(ae.stream(latents[0], tile=None))
    for failing in ({25}, {60, 61}, {35, 90}):
        with memory_runs_out(failing.__contains__):
            made = ae.decode(latents, tile=2)
        torch.testing.assert_close(made, expected, **CLOSE)
        with memory_runs_out(failing.__contains__):
            streamed = list(ae.stream(iter(latents[0]), tile=(2, 3)))
        for ours, theirs in zip(streamed, frames, strict=True):
            assert abs(ours.astype(int) - theirs).max() <= 1
        with memory_runs_out(failing.__contains__):
            torch.testing.assert_close(ae.encode(images, tile=None), encoded, atol=1e-4, rtol=1e-4)
