"""The figures that a spec promises, against what really depends on what."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.settings import Settings
from taesd_stream.models import Network, Variant, empty_network, spec_of, variant_named
from tests.plans import plan_for
from tiling import Size

ON_CPU = Settings(torch.device("cpu"), torch.float32, "torch")


def network_of_ones(network: Network) -> Network:
    """Nothing that it reads is lost on the way: a NaN spreads through every layer."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 1e-3)
    return network.requires_grad_(False)


def steps_reached(network: Network, video: Tensor) -> set[int]:
    """The output steps that hold NaN."""
    plane = Size(*video.shape[2:])
    tiles = Executor(network, ON_CPU, plan_for(network, network.latent_plane(plane))).run(video)
    return {
        block.frames.start + step
        for block, tile in tiles
        for step in range(len(tile))
        if tile[step].isnan().any()
    }


VIDEO = ["taesdv", "taehv", "taew2_2_super", "taeltx_2", "taem1"]


@pytest.mark.parametrize("name", VIDEO)
def test_a_frame_depends_on_just_as_many_latents_back_as_the_spec_says(name: str) -> None:
    variant = variant_named(name)
    decoder = network_of_ones(variant.decoder())
    spec = spec_of(variant, None, decoder)
    assert spec.latents_back > 0
    latents = torch.zeros(spec.latents_back + 4, variant.latent_channels, 1, 1)
    latents[1] = torch.nan
    reached = {raw // spec.temporal_scale for raw in steps_reached(decoder, latents)}
    assert reached == set(range(1, 1 + spec.latents_back + 1))


@pytest.mark.parametrize("name", ["taehv", "taeltx_2", "taem1"])
def test_a_latent_depends_on_just_as_many_frames_back_as_the_spec_says(name: str) -> None:
    variant = variant_named(name)
    assert variant.encoder is not None
    encoder = network_of_ones(variant.encoder())
    spec = spec_of(variant, encoder, None)
    shrink = variant.encode_timing.shrink
    latent = -(-(spec.frames_back + 1) // shrink)
    first = latent * shrink - spec.frames_back
    frames = torch.zeros((latent + 1) * shrink, 3, spec.spatial_scale, spec.spatial_scale)
    for frame, reaches in ((first - 1, False), (first, True), (latent * shrink, True)):
        disturbed = frames.clone()
        disturbed[frame] = torch.nan
        assert (latent in steps_reached(encoder, disturbed)) == reaches


@pytest.mark.parametrize(
    ("name", "temporal_scale", "latents_back", "first_frame_after"),
    [
        ("taesd", 1, 0, 1),
        ("taesdv", 1, 10, 1),
        ("taehv", 4, 8, 1),
        ("taecvx", 4, 8, 1),
        ("taeh3", 4, 8, 2),
        ("taeltx_2", 8, 6, 1),
        ("taem1", 6, 8, 1),
    ],
)
def test_figures_of_time(
    name: str, temporal_scale: int, latents_back: int, first_frame_after: int
) -> None:
    spec = spec_of(variant_named(name), None, empty_network(variant_named(name).decoder))
    found = (spec.temporal_scale, spec.latents_back, spec.first_frame_after)
    assert found == (temporal_scale, latents_back, first_frame_after)
    assert spec.timing.frames(first_frame_after) > 0
    assert (spec.can_decode, spec.can_encode, spec.frames_back) == (True, False, 0)


@pytest.mark.parametrize(
    "variant",
    [variant_named(name) for name in ("taehv", "taew2_2_super", "taeltx_2", "taem1", "taesdv")],
    ids=lambda variant: variant.name,
)
def test_networks_make_as_many_steps_as_the_timing_counts(variant: Variant) -> None:
    assert variant.decoder().rate == (variant.timing.growth, 1)
    assert variant.encoder is not None
    assert variant.encoder().rate == (1, variant.encode_timing.shrink)
    assert variant.decoder().scale == (variant.spatial_scale, 1)
