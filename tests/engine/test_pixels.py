"""Rounding between floats and bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taesd_stream.engine.pixels import to_bytes, to_images


@pytest.mark.parametrize(
    ("value", "byte"),
    [
        (0.0, 0),
        (1.0, 255),
        (-3.0, 0),
        (7.0, 255),
        (0.49 / 255, 0),
        (0.51 / 255, 1),
        (127.49 / 255, 127),
        (127.51 / 255, 128),
        (254.49 / 255, 254),
        (254.51 / 255, 255),
    ],
)
def test_values_become_the_nearest_byte(value: float, byte: int) -> None:
    assert to_bytes(torch.full((3, 1, 1), value)).tolist() == [[[byte] * 3]]


def test_every_byte_survives_the_way_there_and_back() -> None:
    every = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    images = to_images(every)
    assert images.shape == (1, 3, 16, 16)
    assert (float(images.min()), float(images.max())) == (0, 1)
    assert np.array_equal(to_bytes(images[0]), every[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_rounded_in_float32(dtype: torch.dtype) -> None:
    values = (torch.arange(12, dtype=torch.float32) / 11).view(3, 2, 2).to(dtype)
    expected = (values.float() * 255).round().to(torch.uint8).movedim(0, -1).numpy()
    assert np.array_equal(to_bytes(values), expected)


def test_the_callers_pixels_are_left_alone() -> None:
    pixels = torch.full((3, 2, 2), 2.0)
    to_bytes(pixels)
    assert (pixels == 2).all()
