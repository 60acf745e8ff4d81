"""Crops, pictures that go around, and pictures in bands, through the library's own face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from tests.engine.conftest import model_named
from tiling import Region

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


def latents_for(ae: ts.AutoEncoder, count: int = 1, plane: tuple[int, int] = (7, 9)) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, ae.spec.latent_channels, *plane, generator=generator)


@pytest.mark.parametrize("tile", [3, "auto"], ids=str)
@pytest.mark.parametrize(
    "name", ["taesd", "taef2", "taesana", "nano", "latent2rgb", "taesdv", "taehv"]
)
def test_a_crop_is_that_part_of_the_whole(name: str, tile: object, model: Models) -> None:
    ae = model(name)
    latents = latents_for(ae, 2)[None]
    whole = ae.decode(latents)
    height, width = whole.shape[-2:]
    # The second one is of odd numbers, the others touch borders and corners.
    for x, y, w, h in ((0, 0, 5, 9), (21, 13, 11, 17), (width - 8, 3, 8, height - 3)):
        made = ae.decode(latents, crop=(x, y, w, h), tile=tile)
        expected = whole[..., y : y + h, x : x + w]
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        *[("taesd", wrap) for wrap in ("x", "y", "xy")],
        ("taesana", "x"),
        ("latent2rgb", "xy"),
        ("taesdv", "xy"),
        ("taehv", "y"),
    ],
)
def test_a_picture_that_goes_around_is_the_middle_of_many(
    name: str, wrap: str, model: Models
) -> None:
    """Beside copies of itself a picture's borders are where the layers do not see them."""
    ae = model(name)
    height, width = 6, 7
    latents = latents_for(ae, 2, (height, width))[None]
    made = ae.decode(latents, wrap=wrap, tile=4)
    copies = latents.repeat(1, 1, 1, *(7 if axis in wrap else 1 for axis in "yx"))
    up = ae.spec.spatial_scale
    y, x = (3 * size * up if axis in wrap else 0 for axis, size in (("y", height), ("x", width)))
    expected = ae.decode(copies, crop=(x, y, width * up, height * up), tile=8)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_encoding_goes_around_too(model: Models) -> None:
    ae = model("taesd")
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    made = ae.encode(image, wrap="x", tile=3)
    torch.testing.assert_close(
        ae.encode(image.roll(24, 3), wrap="x", tile=5), made.roll(3, 3), atol=1e-5, rtol=0
    )
    whole = ae.encode(image.repeat(1, 1, 1, 7))[..., 24:32]
    torch.testing.assert_close(made, whole, atol=1e-5, rtol=0)
    assert not torch.allclose(ae.encode(image), made, atol=1e-3)


@pytest.mark.parametrize("name", ["taesd", "taehv"])
def test_a_stream_of_crops(name: str, model: Models) -> None:
    ae = model(name)
    latents = latents_for(ae, 3)
    whole = list(ae.stream(latents))
    made = list(ae.stream(latents, crop=(5, 11, 20, 30), tile=4))
    assert len(made) == len(whole)
    for part, frame in zip(made, whole, strict=True):
        np.testing.assert_allclose(part.astype(int), frame[11:41, 5:25], atol=1)


@pytest.mark.parametrize("name", ["taesd", "taef2"])
@pytest.mark.parametrize("memory", ["auto", "30MiB"])
def test_a_picture_in_bands_is_the_decoded_one(name: str, memory: str, model: Models) -> None:
    ae = model(name)
    latents = latents_for(ae, 2, (40, 9))
    expected = ae.decode(latents[1:])[0]
    picture = ae.open_picture(ts.open_latents(latents), 1, memory=memory, tile=(7, 4))
    made = torch.full_like(expected, torch.nan)
    done = 0
    for region, tile in picture.tiles():
        band = next(band for band in picture.bands if band.contains(region.y))
        assert made[:, : band.start].isfinite().all()
        y, x = region.within(Region.whole(picture.made))
        made[:, y, x] = tile.clamp(0, 1)
        done += region.area
    assert done == picture.made.area
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_a_picture_with_a_nan_names_the_place_in_the_whole(model: Models) -> None:
    ae = model("taesd")
    latents = latents_for(ae, 2, (40, 9))
    latents[1, 2, 31, 5] = torch.nan
    picture = ae.open_picture(ts.open_latents(latents), 1, tile=(7, 4))
    with pytest.raises(ts.NonFiniteError, match=r"latent 1 at \(channel, row, column\) \(2, 31, 5"):
        list(picture.tiles())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"crop": (0, 0, 73, 5)},
            "expected a part of a picture of 72x56 pixels, found 73x5 at 0,0",
        ),
        ({"crop": (-1, 0, 3, 5)}, "found 3x5 at -1,0"),
        ({"crop": (0, 0, 0, 5)}, "found 0x5 at 0,0"),
        ({"crop": (1, 2, 3)}, r"expected x, y, width and height in pixels, found \(1, 2, 3\)"),
        ({"crop": (1.0, 2, 3, 4)}, "expected x, y, width and height"),
        ({"wrap": "z"}, "expected x, y or xy, found 'z'"),
        ({"wrap": "x", "overlap": 2}, "expected exact tiles with crop or wrap, found 2"),
    ],
)
def test_views_that_cannot_be(options: dict[str, object], said: str, model: Models) -> None:
    with pytest.raises(ts.InputError, match=said):
        model("taesd").decode(torch.zeros(1, 4, 7, 9), **options)


def test_what_encoding_cannot_be_asked_for(model: Models) -> None:
    with pytest.raises(ts.InputError, match="crop: expected none for encoding"):
        model("taesd").encode(torch.zeros(1, 3, 16, 16), crop=(0, 0, 8, 8))
    with pytest.raises(ts.InputError, match="sides are multiples of 8 pixels, found 20x16"):
        model("taesd").encode(torch.zeros(1, 3, 16, 20), wrap="x")


def test_states_are_of_whole_pictures(model: Models) -> None:
    stream = model("taesdv").open_stream(wrap="x")
    stream.push(torch.zeros(4, 3, 3))
    with pytest.raises(ts.InputError, match="leave crop and wrap out"):
        stream.save()


def test_an_option_that_does_not_exist_is_a_mistake_in_the_call(model: Models) -> None:
    with pytest.raises(TypeError, match="tiles"):
        model("taesd").decode(torch.zeros(1, 4, 7, 9), tiles=3)


def test_a_video_model_decodes_no_single_picture(model: Models) -> None:
    with pytest.raises(ts.InputError, match="expected a model for pictures, found taehv"):
        model("taehv").open_picture(ts.open_latents(torch.zeros(16, 3, 3)))


def test_planes_of_several_passes_go_to_a_file_where_memory_does_not_hold_them() -> None:
    ae = model_named("taef2")
    large = ae.plan((1, 32, 2000, 2000), memory="200MiB")
    assert large.scratch
    assert "through scratch files" in str(large)
    assert large.peak_bytes <= 200 << 20
    assert not ae.plan((1, 32, 100, 100), memory="200MiB").scratch
    latents = latents_for(ae, 1, (20, 24))
    held = 2 * 64 * 20 * 24 * 4
    tight = ae.plan(latents.shape, tile=4).peak_bytes - held // 2
    assert ae.plan(latents.shape, memory=tight, tile=4).scratch
    expected = ae.decode(latents, tile=4)
    made = ae.decode(latents, memory=tight, tile=4)
    assert torch.equal(made, expected)
