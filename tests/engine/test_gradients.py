"""Gradients of tiles equal those of the undivided network in plain PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from tests.engine.gradient_checks import (
    Half,
    Models,
    check,
    plain,
    properties,
    pulled,
    random_input,
)
from tiling import Interval, weights

sides = st.integers(1, 7)
tiles = st.one_of(st.none(), st.integers(2, 7), st.tuples(st.integers(2, 7), st.integers(2, 7)))


@pytest.mark.parametrize("half", ["decode", "encode"])
@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana", "nano"])
@properties
@given(sizes=st.tuples(st.integers(1, 2), sides, sides), tile=tiles)
def test_of_pictures(
    name: str, half: Half, sizes: tuple[int, int, int], tile: Any, narrow: Models
) -> None:
    ae = narrow(name, "float64")
    batch, *plane = sizes
    largest = 7 if ae.spec.spatial_scale == 8 else 3  # a picture of 32 pixels a latent is large
    source = random_input(ae, half, (batch, *(min(side, largest) for side in plane)))
    found = pulled(lambda given: getattr(ae, half)(given, tile=tile), source)
    check(found, pulled(plain(ae, half), source))


@pytest.mark.parametrize("half", ["decode", "encode"])
@pytest.mark.parametrize("name", ["taesdv", "taehv", "taew2_2", "taem1", "taeh3"])
@properties
@given(sizes=st.tuples(st.integers(2, 7), st.integers(1, 4), st.integers(1, 5)), tile=tiles)
def test_of_videos(
    name: str, half: Half, sizes: tuple[int, int, int], tile: Any, narrow: Models
) -> None:
    ae = narrow(name, "float64")
    steps, *plane = sizes
    steps = steps + 1 if half == "decode" else 3 * steps
    source = random_input(ae, half, (1, steps, *plane))
    found = pulled(lambda given: getattr(ae, half)(given, tile=tile), source)
    check(found, pulled(plain(ae, half), source))


@pytest.mark.parametrize("name", ["taesd", "taef2"])
def test_of_a_crop_costs_what_the_crop_costs(name: str, narrow: Models) -> None:
    ae = narrow(name, "float64")
    source = random_input(ae, "decode", (1, 20, 24))
    x, y, width, height = crop = (37, 19, 50, 41)
    found = pulled(lambda given: ae.decode(given, crop=crop, tile=5), source)
    whole = plain(ae, "decode")
    expected = pulled(lambda given: whole(given)[..., y : y + height, x : x + width], source)
    check(found, expected)
    shape = (1, ae.spec.latent_channels, 64, 64)
    part = ae.plan(shape, action="decode backward", crop=(200, 200, 64, 64))
    assert part.passes[-1].work < 0.2 * ae.plan(shape, action="decode backward").passes[-1].work


@pytest.mark.parametrize("name", ["nano", "taef2"])
def test_of_pictures_that_go_around(name: str, narrow: Models) -> None:
    ae = narrow(name, "float64")
    source = random_input(ae, "decode", (1, 8, 9))
    found = pulled(lambda given: ae.decode(given, wrap="xy", tile=5), source)
    undivided = pulled(lambda given: ae.decode(given, wrap="xy", tile=None), source)
    check(found, undivided)
    if name == "nano":  # the moments of a plane are not those of nine
        whole = plain(ae, "decode")
        around = pulled(lambda z: whole(z.repeat(1, 1, 5, 5))[..., 128:192, 144:216], source)
        check(found, around)


@pytest.mark.parametrize("name", ["taesd", "taef2", "taesdv"])
def test_of_blended_tiles(name: str, narrow: Models) -> None:
    ae = narrow(name, "float64")
    steps = (2,) if name == "taesdv" else ()
    source = random_input(ae, "decode", (1, *steps, 15, 9))
    module = ae.decoder_module()
    parts = [Interval(0, 10), Interval(6, 15)]  # of up to 6 latents, and 2 around each
    across = [
        torch.from_numpy(each).double()
        for each in weights([part.scale(8) for part in parts], 120, 32)
    ]

    def blended(given: Tensor) -> Tensor:
        made = given.new_zeros(*given.shape[:-3], 3, 120, 72)
        for part, weight in zip(parts, across, strict=True):
            patch = module(given[..., part.start : part.stop, :]) * weight[:, None]
            rows = slice(8 * part.start, 8 * part.stop)
            made = made + torch.nn.functional.pad(patch, (0, 0, rows.start, 120 - rows.stop))
        return made.clamp(0, 1)

    def ours(given: Tensor) -> Tensor:
        return ae.decode(given, tile=(8, 9), overlap=2)

    torch.testing.assert_close(ours(source), blended(source), atol=1e-6, rtol=0)
    check(pulled(ours, source), pulled(blended, source), 1e-6)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("taesd", (1, 4, 3, 4)), ("taef2", (1, 32, 2, 3)), ("taesdv", (1, 2, 4, 2, 3))],
)
def test_gradcheck(name: str, shape: tuple[int, ...], narrow: Models) -> None:
    ae = narrow(name, "float64")
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    plane = [ae.spec.spatial_scale * side for side in shape[-2:]]
    gains = torch.randn(3, *plane, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda given: (ae.decode(given, tile=2) * gains).sum(), (z,))


def test_in_float32_it_is_the_same_but_for_kinks(narrow: Models) -> None:
    """Of a ReLU, or a cut, whose input is within rounding of zero, either side may be taken."""
    precise, usual = narrow("taesd", "float64"), narrow("taesd")
    source = random_input(usual, "decode", (1, 7, 9))
    found = pulled(lambda given: usual.decode(given, tile=4), source)
    expected = pulled(plain(precise, "decode"), source.double())
    assert float((found - expected).norm() / expected.norm()) < 1e-3


def test_in_bfloat16_it_points_the_same_way(narrow: Models) -> None:
    rough, precise = narrow("taesd", "bfloat16"), narrow("taesd")
    source = random_input(precise, "decode", (1, 7, 9))
    found = pulled(lambda given: rough.decode(given, tile=4), source)
    assert found.dtype == torch.float32
    expected = pulled(lambda given: precise.decode(given, tile=4), source)
    assert float(torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)) > 0.97


def test_autocast_changes_nothing(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (1, 6, 5))
    expected = pulled(lambda given: ae.decode(given, tile=4), source)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pulled(lambda given: ae.decode(given, tile=4), source)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_threads_change_no_bit(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (2, 9, 9))
    one, two = (
        pulled(lambda given, n=n: ae.decode(given, tile=4, threads=n), source) for n in (1, 2)
    )
    torch.testing.assert_close(one, two, atol=0, rtol=0)


@pytest.mark.parametrize("half", ["decode", "encode"])
def test_the_scale_of_the_full_vae_has_its_part_in_it(half: Half, narrow: Models) -> None:
    ae = narrow("taesd", "float64")
    source = random_input(ae, half, (1, 5, 6))
    undivided = plain(ae, half)
    factor = 0.18215

    def expected(given: Tensor) -> Tensor:
        return undivided(given * factor) if half == "decode" else undivided(given) / factor

    found = pulled(lambda given: getattr(ae, half)(given, convention="vae", tile=3), source)
    check(found, pulled(expected, source), 1e-6)


def test_packed_latents_have_a_gradient(narrow: Models) -> None:
    ae = narrow("taef1", "float64")
    tokens = torch.randn(1, 12, 64, dtype=torch.float64)
    found = pulled(lambda given: ae.decode(given, size=(64, 48)), tokens)
    undivided = plain(ae, "decode")

    def unpacked(given: Tensor) -> Tensor:
        return given.view(1, 4, 3, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 16, 8, 6)

    check(found, pulled(lambda given: undivided(unpacked(given)), tokens))


def test_a_second_derivative_is_refused(narrow: Models) -> None:
    ae = narrow("taesd")
    z = random_input(ae, "decode", (1, 4, 4)).requires_grad_()
    (first,) = torch.autograd.grad(ae.decode(z).sum(), z, create_graph=True)
    with pytest.raises(ts.InputError, match=r"first derivative.*decoder_module"):
        first.sum().backward()
