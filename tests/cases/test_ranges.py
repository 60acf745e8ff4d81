"""Pictures whose values are not in [0, 1] are refused, and the range that was found is named."""

from __future__ import annotations

import pytest
import torch

import taesd_stream as ts


@pytest.fixture(scope="module")
def nano() -> ts.AutoEncoder:
    return ts.load("nano", device="cpu", backend="torch")


@pytest.mark.parametrize(
    ("least", "most", "advice"),
    [
        (-1.0, 1.0, r"-1 to 1 in image 1; it looks like \[-1, 1\]: give \(x \+ 1\) / 2"),
        (0.0, 255.0, "0 to 255 in image 1; it looks like 0 to 255: divide it by 255"),
        (-2.1, 2.6, "-2.1 to 2.6 in image 1; bring it there"),
    ],
)
def test_other_ranges_are_named(
    nano: ts.AutoEncoder, least: float, most: float, advice: str
) -> None:
    images = torch.rand(2, 3, 16, 16)
    images[1] = torch.linspace(least, most, 3 * 16 * 16).view(3, 16, 16)
    with pytest.raises(ts.InputError, match=advice):
        nano.encode(images)
    with pytest.raises(ts.InputError, match=advice):
        nano.encode(images[None])


def test_eight_bits_are_to_be_divided(nano: ts.AutoEncoder) -> None:
    with pytest.raises(
        ts.InputError, match=r"found torch\.uint8: .*divide pictures of 8 bits by 255"
    ):
        nano.encode(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


def test_a_little_beyond_is_what_resizing_and_rounding_do(nano: ts.AutoEncoder) -> None:
    images = torch.linspace(-0.04, 1.04, 3 * 16 * 16).view(1, 3, 16, 16)
    assert nano.encode(images).shape == (1, 4, 2, 2)
    assert nano.encode(images.clamp(0, 1).bfloat16()).shape == (1, 4, 2, 2)
