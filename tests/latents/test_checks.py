"""Refusals before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taesd_stream.errors import LatentsError, NonFiniteError
from taesd_stream.latents import check_finite, open_latents
from taesd_stream.latents.checks import FLOATING_DTYPES, require_memory


@pytest.mark.parametrize("dtype", sorted(FLOATING_DTYPES, key=str))
def test_every_floating_dtype_can_be_finite(dtype):
    check_finite(torch.zeros(4, 2, 3).to(dtype), 0)


@pytest.mark.parametrize(
    ("dtype", "bad"),
    [
        (torch.float32, float("nan")),
        (torch.float16, float("inf")),
        (torch.bfloat16, -float("inf")),
        (torch.float8_e4m3fn, float("nan")),
    ],
)
def test_the_frame_and_the_first_position_are_named(dtype, bad):
    latent = torch.zeros(4, 5, 6)
    latent[1, 2, 3] = bad
    latent[3, 0, 0] = bad
    with pytest.raises(NonFiniteError, match=r"latent 17 .*\(1, 2, 3\), 2 of its 120") as caught:
        check_finite(latent.to(dtype), 17)
    assert caught.value.frame == 17


@pytest.mark.parametrize(
    "latents",
    [
        torch.zeros(4, 8, 8, dtype=torch.uint8),
        torch.zeros(4, 8, 8, dtype=torch.int64),
        torch.zeros(4, 8, 8, dtype=torch.bool),
        torch.zeros(4, 8, 8, dtype=torch.complex64),
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8), np.complex128),
        np.zeros((4, 8, 8), np.longdouble),
        np.full((4, 8, 8), "a"),
        np.full((4, 8, 8), None),
        torch.zeros(4, 8, 8).to_sparse(),
        torch.zeros(4, 8, 8, device="meta"),
        torch.zeros(4, 0, 8),
        torch.zeros(0, 4, 8, 8),
        torch.tensor(1.0),
        [],
        [torch.zeros(4, 8, 8), torch.zeros(4, 8, 9)],
        [torch.zeros(4, 8, 8), torch.zeros(4, 8, 8).half()],
        ["a"],
        {"latents": "a"},
        {},
        {"a": torch.zeros(4, 8, 8), "b": torch.zeros(4, 8, 8)},
        b"abc",
        None,
        7,
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', '')}",
)
def test_what_cannot_be_latents_is_refused_in_one_line(latents):
    with pytest.raises(LatentsError) as caught:
        open_latents(latents)
    assert "\n" not in str(caught.value)
    assert "found" in str(caught.value)


def test_bytes_are_pointed_to_png():
    with pytest.raises(LatentsError, match="PNG"):
        open_latents(torch.zeros(4, 8, 8, dtype=torch.uint8))


def test_latents_of_another_model_are_refused():
    with pytest.raises(LatentsError, match="16"):
        open_latents(torch.zeros(5, 4, 8, 8), channels=16)
    with pytest.raises(LatentsError, match="found 4"):
        open_latents(torch.zeros(5, 4, 8, 8), channels=16, layout="TCHW")
    with open_latents(torch.zeros(5, 4, 8, 8)) as source:
        assert open_latents(source) is source
        with pytest.raises(LatentsError, match="found 4"):
            open_latents(source, channels={12, 16})


def test_a_view_that_repeats_itself_cannot_exhaust_the_memory():
    source = open_latents(torch.zeros(1).expand(10**6, 4, 10**5, 10**5))
    with pytest.raises(LatentsError, match="GiB"):
        source[:100]


def test_memory_is_checked_before_it_is_taken():
    require_memory(2**20, "a little")
    with pytest.raises(LatentsError, match=r"too much .* GiB of memory are free"):
        require_memory(2**60, "too much")
