"""Blended tiles against a weighted sum worked out naively; no seams where nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from tests.engine.conftest import model_named

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


def noise(channels: int, height: int, width: int, frames: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(frames, channels, height, width, generator=generator)


def cores(size: int, tile: int) -> list[tuple[int, int]]:
    """Nearly equal pieces of an axis, the longer ones first."""
    return [
        (int(piece[0]), int(piece[-1]) + 1)
        for piece in np.array_split(range(size), -(-size // tile))
    ]


def ramp(start: int, stop: int, size: int, length: int) -> np.ndarray:
    """Rises over ``length`` pixels from either end that is not an end of the axis."""
    weight = np.ones(stop - start)
    for place in range(stop - start):
        if start > 0:
            weight[place] = min(weight[place], (place + 0.5) / length)
        if stop < size:
            weight[place] = min(weight[place], (stop - start - place - 0.5) / length)
    return weight


def naive_blend(
    ae: ts.AutoEncoder, latents: Tensor, tile: int, overlap: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each crop decoded as a picture of its own, weighted, and divided by the sum of weights.

    Also where no crop was clipped to [0, 1]: there it makes no difference that we clip at the end.
    """
    height, width = latents.shape[2:]
    scale = ae.spec.spatial_scale
    total = np.zeros((3, height * scale, width * scale))
    weights = np.zeros((height * scale, width * scale))
    inside = np.ones(total.shape, bool)
    length = 2 * overlap * scale
    for (top, bottom), (left, right) in product(cores(height, tile), cores(width, tile)):
        y0, y1 = max(0, top - overlap), min(height, bottom + overlap)
        x0, x1 = max(0, left - overlap), min(width, right + overlap)
        picture = ae.decode(latents[:, :, y0:y1, x0:x1], tile=None)[0].numpy()
        weight = np.outer(
            ramp(y0 * scale, y1 * scale, height * scale, length),
            ramp(x0 * scale, x1 * scale, width * scale, length),
        )
        place = np.s_[y0 * scale : y1 * scale, x0 * scale : x1 * scale]
        total[(slice(None), *place)] += picture * weight
        weights[place] += weight
        inside[(slice(None), *place)] &= (picture > 0) & (picture < 1)
    return total / weights, inside


@pytest.mark.parametrize("name", ["taesd", "taef2"])
def test_blending_is_a_weighted_mean_of_crops(name: str, model: Models) -> None:
    ae = model(name)
    latents = noise(ae.spec.latent_channels, 9, 7)
    expected, inside = naive_blend(ae, latents, tile=4, overlap=2)
    assert inside.mean() > 0.7
    made = ae.decode(latents, tile=4, overlap=2)[0].numpy()
    np.testing.assert_allclose(made[inside], expected[inside], atol=1e-5)
    assert not np.allclose(made, ae.decode(latents, tile=None)[0].numpy(), atol=1e-3)


@pytest.mark.parametrize("overlap", [19, 20, 100])
def test_an_overlap_no_smaller_than_the_halo_is_exact(overlap: int, model: Models) -> None:
    ae = model("taesd")
    latents = noise(4, 9, 8)
    assert ae.plan(latents.shape, tile=3, overlap=overlap).overlap == "exact"
    assert torch.equal(ae.decode(latents, tile=3, overlap=overlap), ae.decode(latents, tile=3))


def test_blending_without_overlap_puts_crops_side_by_side(model: Models) -> None:
    ae = model("taesd")
    latents = noise(4, 4, 6)
    made = ae.decode(latents, tile=(4, 3), overlap=0)
    left, right = (ae.decode(part, tile=None) for part in latents.split(3, dim=3))
    torch.testing.assert_close(made, torch.cat([left, right], dim=3), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("tile", "overlap"), [(3, 1), ((4, 2), 2), (1, 3), (5, 0), ("auto", 2)], ids=str
)
def test_a_constant_picture_shows_no_seam(tile: object, overlap: int, model: Models) -> None:
    """A linear map of equal latents is one colour, whatever is cut where."""
    ae = model("latent2rgb")
    latents = torch.tensor([0.3, -0.2, 0.1, 0.4]).view(1, 4, 1, 1).expand(1, 4, 11, 13)
    made = ae.decode(latents, tile=tile, overlap=overlap)
    colour = ae.decode(latents[..., :1, :1])[..., :1, :1]
    torch.testing.assert_close(made, colour.expand_as(made), atol=2e-6, rtol=0)


def test_more_overlap_brings_blending_nearer_to_exact(model: Models) -> None:
    ae = model("taesd")
    latents = noise(4, 12, 12)
    exact = ae.decode(latents)
    errors = [
        float((ae.decode(latents, tile=4, overlap=overlap) - exact).abs().mean())
        for overlap in (0, 2, 4)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_encodings_blend_too_whatever_the_sides() -> None:
    ae = model_named("taesd")
    images = torch.rand(2, 3, 61, 43, generator=torch.Generator().manual_seed(0))
    made = ae.encode(images, tile=4, overlap=2)
    exact = ae.encode(images)
    assert made.shape == exact.shape == (2, 4, 8, 6)
    error = float((made - exact).abs().mean() / exact.abs().mean())
    assert 0 < error < 0.2


def test_blended_crops_keep_to_the_budget_by_exact_tiles_inside(model: Models) -> None:
    ae = model("taesd")
    latents = noise(4, 20, 20)
    options = {"tile": 16, "overlap": 3}
    small = ae.plan(latents.shape, memory="8MiB", **options)
    assert len(small.passes[-1].grid) > 1
    assert small.peak_bytes <= 8 << 20
    assert small.tiles == 4 * len(small.passes[-1].grid)
    torch.testing.assert_close(
        ae.decode(latents, memory="8MiB", **options),
        ae.decode(latents, **options),
        atol=1e-5,
        rtol=0,
    )


def test_streamed_frames_are_blended_like_decoded_ones(model: Models) -> None:
    ae = model("taesd")
    latents = noise(4, 6, 7, frames=2)
    made = np.stack(list(ae.stream(latents, tile=3, overlap=1)))
    decoded = ae.decode(latents, tile=3, overlap=1).movedim(1, -1).numpy()
    assert np.abs(made - decoded * 255).max() <= 0.5 + 1e-3
