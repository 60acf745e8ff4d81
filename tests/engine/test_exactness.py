"""Tiled equals undivided, for every size, tile, batch and model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts

Models = Callable[..., ts.AutoEncoder]
Half = Literal["decode", "encode"]
Size = tuple[int, int]

properties = settings(max_examples=10, deadline=None, derandomize=True)
sides = st.integers(1, 12)
tiles = st.one_of(st.integers(1, 14), st.tuples(st.integers(1, 14), st.integers(1, 14)))
batches = st.one_of(st.tuples(st.integers(1, 3)), st.tuples(st.integers(1, 2), st.integers(1, 2)))

EXACT = 1e-5  # of the output's range


def random_input(ae: ts.AutoEncoder, half: Half, batch: tuple[int, ...], plane: Size) -> Tensor:
    generator = torch.Generator().manual_seed(sum(plane))
    if half == "decode":
        return torch.randn(*batch, ae.spec.latent_channels, *plane, generator=generator)
    return torch.rand(*batch, 3, *plane, generator=generator)


@st.composite
def cases(draw: st.DrawFn, half: Half, scale: int) -> tuple[tuple[int, ...], Size, object]:
    """Batch, plane and tile; planes to encode have sides that are no whole number of latents."""
    height, width = draw(sides), draw(sides)
    tile = draw(tiles)
    pair = tile if isinstance(tile, tuple) else (tile, tile)
    if (height / pair[0]) * (width / pair[1]) > 40:  # keep the count of tiles small
        tile = (max(pair[0], height // 4), max(pair[1], width // 4))
    plane = height, width
    if half == "encode":
        plane = (
            height * scale - draw(st.integers(0, scale - 1)),
            width * scale - draw(st.integers(0, scale - 1)),
        )
    return draw(batches), plane, tile


@pytest.mark.parametrize(
    ("name", "half"),
    [(name, half) for name in ("taesd", "taef2", "nano") for half in ("decode", "encode")],
)
@properties
@given(data=st.data())
def test_tiles_of_any_size_make_the_undivided_result(
    name: str, half: Half, data: st.DataObject, narrow: Models
) -> None:
    ae = narrow(name)
    batch, plane, tile = data.draw(cases(half, ae.spec.spatial_scale))
    source = random_input(ae, half, batch, plane)
    kept = source.clone()
    run = getattr(ae, half)
    undivided, made = run(source, tile=None), run(source, tile=tile)
    assert made.shape == undivided.shape
    assert made.shape[:-3] == batch
    span = 1.0 if half == "decode" else float(undivided.max() - undivided.min())
    assert float((made - undivided).abs().max()) <= EXACT * max(span, 1)
    assert torch.equal(source, kept)


@pytest.mark.parametrize(
    ("half", "plane"), [("decode", (3, 4)), ("decode", (1, 1)), ("encode", (65, 90))], ids=str
)
def test_sana_is_exact_too(half: Half, plane: Size, narrow: Models) -> None:
    ae = narrow("taesana")
    source = random_input(ae, half, (1,), plane)
    run = getattr(ae, half)
    for tile in (1, (1, 3), (2, 1)):
        torch.testing.assert_close(run(source, tile=tile), run(source, tile=None), **close())


def close() -> dict[str, float]:
    return {"atol": EXACT, "rtol": 0}


@pytest.mark.usefixtures("kernels_sum_in_one_order")
@pytest.mark.parametrize("tile", [1, (3, 4)], ids=str)
@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana", "taesdv", "nano"])
def test_tiles_are_equal_bit_for_bit_where_the_kernels_allow(
    name: str, tile: object, model: Models
) -> None:
    ae = model(name)
    batch = (1, 2) if ae.spec.latents_back else (1,)
    latents = random_input(ae, "decode", batch, (4, 6))
    assert torch.equal(ae.decode(latents, tile=tile), ae.decode(latents, tile=None))


@pytest.mark.parametrize(("name", "batch"), [("taesd", (1,)), ("taesdv", (1, 3))])
def test_sixteen_bits_err_no_more_in_tiles_than_undivided(
    name: str, batch: tuple[int, ...], narrow: Models
) -> None:
    latents = random_input(narrow(name), "decode", batch, (6, 7))
    exact = narrow(name).decode(latents, tile=None)
    for dtype in ("bfloat16", "float16"):
        ae = narrow(name, dtype)
        undivided = (ae.decode(latents, tile=None).float() - exact).abs()
        tiled = ae.decode(latents, tile=4)
        assert tiled.dtype == ae.settings.dtype
        error = (tiled.float() - exact).abs()
        assert float(error.mean()) <= 1.1 * float(undivided.mean())
        assert float(error.max()) <= 1.5 * float(undivided.max())


def test_memory_formats_devices_and_gradients_of_the_caller_make_no_difference(
    model: Models,
) -> None:
    ae = model("taesd")
    latents = random_input(ae, "decode", (2,), (5, 6))
    expected = ae.decode(latents)
    last = latents.to(memory_format=torch.channels_last)
    assert torch.equal(ae.decode(last), expected)
    assert torch.equal(ae.decode(latents.double()), expected)
    sliced = torch.cat([latents, latents], dim=3)[..., ::2][..., :3]
    assert torch.equal(ae.decode(sliced), ae.decode(sliced.contiguous()))
    tracked = ae.decode(latents.clone().requires_grad_())
    assert torch.equal(tracked, expected)
    assert tracked.requires_grad
    tracked += 1  # an ordinary tensor: the caller may write to it


def test_a_video_is_its_frames(model: Models) -> None:
    ae = model("taef2")
    video = random_input(ae, "decode", (2, 2), (4, 3))
    made = ae.decode(video, tile=2)
    for n in range(2):
        for t in range(2):
            alone = ae.decode(video[n, t][None], tile=2)[0]
            torch.testing.assert_close(made[n, t], alone, **close())


@pytest.mark.parametrize(
    ("name", "clips", "tiles"),
    [
        ("taesdv", 2, [(1, 2), (2, 1)]),
        ("taehv", 2, [(1, 2), (2, 1)]),
        ("taew2_2_super", 1, [(1, 2)]),
    ],
    ids=str,
)
def test_a_model_in_any_tiles_makes_the_undivided_video(
    name: str, clips: int, tiles: list[Size], narrow: Models
) -> None:
    ae = narrow(name)
    latents = random_input(ae, "decode", (clips, 3), (2, 3))
    expected = ae.decode(latents, tile=None)
    assert expected.shape[1] == ae.spec.timing.frames(3)
    for tile in tiles:
        made = ae.decode(latents, tile=tile)
        assert made.shape == expected.shape
        assert float((made - expected).abs().max()) <= 1e-5
    if clips > 1:
        apart = [ae.decode(clip[None], tile=2)[0] for clip in latents]
        torch.testing.assert_close(torch.stack(apart), expected, **close())


@pytest.mark.parametrize(
    ("name", "frames", "side"),
    [("taesdv", 3, (17, 30)), ("taehv", 6, (17, 30)), ("taew2_2_super", 5, (33, 50))],
)
def test_a_video_of_any_size_is_encoded_the_same_in_any_tiles(
    name: str, frames: int, side: tuple[int, int], narrow: Models
) -> None:
    ae = narrow(name)
    images = random_input(ae, "encode", (2, frames), side)
    expected = ae.encode(images, tile=None)
    scale = ae.spec.spatial_scale
    latents = ae.spec.encode_timing.latents(frames)
    assert expected.shape[:2] == (2, latents)
    assert expected.shape[3:] == (-(-side[0] // scale), -(-side[1] // scale))
    for tile in (1, (2, 3), "auto"):
        torch.testing.assert_close(ae.encode(images, tile=tile), expected, **close())
    pictures = images[0].mul(255).round().to(torch.uint8)
    (from_bytes,) = ae.encode(pictures[None].float() / 255, tile=None)
    streamed = list(ae.encode_stream(pictures.movedim(1, -1).numpy(), tile=2))
    torch.testing.assert_close(torch.stack(streamed), from_bytes, **close())
