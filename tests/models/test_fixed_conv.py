"""Convolutions of fixed weights compute what plain ones do, with what follows them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taesd_stream.models.layers.fixed_conv import PlainConv, fixed_convolution

properties = settings(max_examples=60, deadline=None, derandomize=True)


def randoms(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return made.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else made


@properties
@given(
    channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.sampled_from([1, 3, 7]),
    slope=st.sampled_from([None, 0.0, 0.2]),
    adds=st.booleans(),
    has_bias=st.booleans(),
)
def test_sums_and_relus_are_those_that_follow_a_convolution(
    *,
    channels: tuple[int, int],
    sides: tuple[int, int],
    kernel: int,
    slope: float | None,
    adds: bool,
    has_bias: bool,
) -> None:
    weight = randoms(channels[1], channels[0], kernel, kernel)
    bias = randoms(channels[1], seed=1) if has_bias else None
    tensor, padding = randoms(2, channels[0], *sides, seed=2), (kernel // 2, kernel // 2)
    added = randoms(2, channels[1], *sides, seed=3) if adds else None
    kept = None if added is None else added.clone()
    expected = F.conv2d(tensor, weight, bias, 1, padding)
    expected = expected if added is None else expected + added
    expected = expected if slope is None else F.leaky_relu(expected, slope)
    for convolution in (fixed_convolution(weight, bias), PlainConv(weight, bias)):
        made = convolution(tensor, padding, added, slope)
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)
        assert added is None or (kept is not None and torch.equal(added, kept))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_precision_and_stride(dtype: torch.dtype, stride: int) -> None:
    weight = randoms(16, 8, 3, 3, dtype=dtype)
    tensor = randoms(1, 8, 11, 6, seed=1, dtype=dtype)
    made = fixed_convolution(weight, None, stride=stride)(tensor, (1, 1), None, 0.0)
    expected = F.conv2d(tensor.float(), weight.float(), None, stride, 1).relu()
    torch.testing.assert_close(made.float(), expected, atol=0.2, rtol=0.02)


@pytest.mark.parametrize("processor", ["AVX2", "AVX512"])
def test_weights_in_any_order_are_the_same_weights(
    processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    weight, bias = randoms(32, 24, 3, 3), randoms(32, seed=1)
    convolution = fixed_convolution(weight, bias)
    assert convolution.weight.is_mkldnn == (processor == "AVX512")
    for sides in ((16, 64), (3, 5)):
        tensor = randoms(1, 24, *sides, seed=2)
        made = convolution(tensor, (0, 1), None, 0.0)
        expected = F.conv2d(tensor, weight, bias, 1, (0, 1)).relu()
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [4, 64])
def test_a_part_of_a_plane_is_the_same_to_the_bit_on_any_number_of_cores(
    dtype: torch.dtype, channels: int
) -> None:
    convolution = fixed_convolution(randoms(64, channels, 3, 3, dtype=dtype) / 24, None)
    plane = randoms(1, channels, 33, 21, seed=1, dtype=dtype)
    added = randoms(1, 64, 31, 19, seed=2, dtype=dtype)
    before = torch.get_num_threads()
    whole = convolution(plane, (0, 0), added, 0.0)
    try:
        for cores in (1, 2, 3):
            torch.set_num_threads(cores)
            assert torch.equal(convolution(plane, (0, 0), added, 0.0), whole)
            part = convolution(plane[:, :, 5:16, 2:7], (0, 0), added[:, :, 5:14, 2:5], 0.0)
            assert torch.equal(part, whole[:, :, 5:14, 2:5])
    finally:
        torch.set_num_threads(before)
