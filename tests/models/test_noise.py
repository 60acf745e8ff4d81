"""Noise drawn by position, against published numbers of its generator and against itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taesd_stream.models.noise import noise, random_words
from tiling import Interval, Region, Size

CPU = torch.device("cpu")

# Counter, seed and words: "philox4x32 10" in the known answers of Random123, by the generator's
# authors.
KNOWN = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        0xFFFFFFFFFFFFFFFF,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def drawn(size: tuple[int, int], seed: int = 0, number: int = 1, channels: int = 3) -> Tensor:
    return noise(seed, number, Region.whole(Size(*size)), channels, CPU)


@pytest.mark.parametrize(("counter", "seed", "words"), KNOWN)
def test_words_are_those_of_philox(
    counter: tuple[int, ...], seed: int, words: tuple[int, ...]
) -> None:
    a, b, c, d = (torch.tensor([word]) for word in counter)
    assert tuple(int(word) for word in random_words((a, b, c, d), seed)) == words


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_part_is_the_part_of_the_whole(data: st.DataObject) -> None:
    whole = drawn((50, 700), seed=5)  # more pixels than are drawn at once
    y, x = (
        data.draw(st.tuples(st.integers(0, size - 1), st.integers(1, size))) for size in (50, 700)
    )
    rows = Interval(y[0], min(50, y[0] + y[1]))
    columns = Interval(x[0], min(700, x[0] + x[1]))
    part = noise(5, 1, Region(rows, columns), 3, CPU)
    expected = whole[:, :, rows.start : rows.stop, columns.start : columns.stop]
    assert torch.equal(part, expected)


def test_it_is_normal() -> None:
    pixels = drawn((400, 500)).flatten(2)[0].double()
    assert pixels.mean(dim=1).abs().max() < 0.01
    assert (pixels.std(dim=1) - 1).abs().max() < 0.01
    assert (pixels.pow(4).mean(dim=1) - 3).abs().max() < 0.1
    within = (pixels.abs() < 1.959964).double().mean(dim=1)
    assert (within - 0.95).abs().max() < 0.002


def test_nothing_goes_with_anything_else() -> None:
    """Channels, neighbours, planes and seeds: no two of them are alike."""
    first = drawn((300, 300), channels=9)[0]
    others = [
        *first[1:],
        *drawn((300, 300), number=2)[0],
        *drawn((300, 300), seed=1)[0],
        *drawn((300, 300), seed=1 << 32)[0],
        first[0].roll(1, 0),
        first[0].roll(1, 1),
        first[0].T,
    ]
    for other in others:
        assert abs(float((first[0] * other).mean())) < 0.02


def test_it_goes_on_where_pictures_are_large() -> None:
    far = 1 << 30
    part = noise(0, 1, Region(Interval(far, far + 3), Interval(far, far + 4)), 3, CPU)
    assert bool(torch.isfinite(part).all())
    assert float(part.std()) > 0.5
