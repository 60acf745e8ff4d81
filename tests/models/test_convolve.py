"""Convolutions give what they compute, and nothing that was in memory before."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from taesd_stream.models.layers.convolve import convolve


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
def test_strided_convolutions_of_any_shape(dtype: torch.dtype, padding: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(32, 16, 3, 3, generator=generator) / 12
    for height in (3, 5, 11, 12, 24):
        for width in range(3, 8):
            tensor = torch.randn(1, 16, height, width, generator=generator)
            given = tensor.to(dtype, memory_format=torch.channels_last)
            expected = F.conv2d(given.float(), weight.to(dtype).float(), None, 2, padding)
            for _ in range(2):
                rubbish = torch.full((64, 1024), 3e4).to(dtype)
                del rubbish  # it is given to what is allocated next
                made = convolve(
                    given, weight.to(dtype), torch.zeros(32, dtype=dtype), stride=2, padding=padding
                )
                torch.testing.assert_close(made.float(), expected, atol=0.05, rtol=0.02)
