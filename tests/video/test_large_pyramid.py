from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from video import InputError
from video.large.pyramid import Pyramid, level_sizes


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def halved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The definition, over a whole array."""
    odd_rows, odd_columns = image.shape[0] % 2, image.shape[1] % 2
    wide = np.pad(image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge").astype(np.uint16)
    total = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    half: NDArray[np.uint8] = ((total + 2) // 4).astype(np.uint8)
    return half


def whole_pyramid(image: NDArray[np.uint8], least: int) -> list[NDArray[np.uint8]]:
    levels = [image]
    while max(levels[-1].shape[:2]) > least:
        levels.append(halved(levels[-1]))
    return levels


def strips(image: NDArray[np.uint8], cuts: Sequence[int]) -> list[NDArray[np.uint8]]:
    """``image`` cut into strips, each row of which is written exactly once."""
    edges = sorted({0, len(image), *(cut % len(image) for cut in cuts)})
    return [image[top:bottom] for top, bottom in pairwise(edges)]


def gathered(pieces: list[NDArray[np.uint8]], least: int) -> list[NDArray[np.uint8]]:
    height, width = sum(map(len, pieces)), pieces[0].shape[1]
    levels: dict[int, list[NDArray[np.uint8]]] = {}

    def take(level: int, start: int, rows: NDArray[np.uint8]) -> None:
        before = levels.setdefault(level, [])
        assert start == sum(map(len, before))
        before.append(rows.copy())

    pyramid = Pyramid(
        width,
        height,
        least=least,
        consume=take,
    )
    for piece in pieces:
        pyramid.write(piece)
    return [np.concatenate(levels[level]) for level in range(len(pyramid.sizes))]


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    least=st.integers(1, 6),
)
def test_every_level_is_that_of_the_whole_picture(
    height: int, width: int, cuts: list[int], least: int
) -> None:
    image = noise(height, width, seed=height * 41 + width)
    expected = whole_pyramid(image, least)
    found = gathered(strips(image, cuts), least)
    assert [level.shape for level in found] == [level.shape for level in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rows_come_as_soon_as_they_can_be_known() -> None:
    seen: list[tuple[int, int, int]] = []
    pyramid = Pyramid(
        8, 8, least=2, consume=lambda level, start, rows: seen.append((level, start, len(rows)))
    )
    pyramid.write(noise(3, 8))
    assert seen == [(0, 0, 3), (1, 0, 1)]
    pyramid.write(noise(1, 8))
    assert seen[2:] == [(0, 3, 1), (1, 1, 1), (2, 0, 1)]


def test_what_was_written_may_change_afterwards() -> None:
    image = noise(5, 6)
    rows: list[NDArray[np.uint8]] = []
    pyramid = Pyramid(
        6, 5, least=3, consume=lambda level, _, piece: rows.append(piece.copy()) if level else None
    )
    for row in image:
        strip = row[None].copy()
        pyramid.write(strip)
        strip[:] = 0
    np.testing.assert_array_equal(np.concatenate(rows), halved(image))


def test_very_wide_rows_are_halved_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("video.large.pyramid._BLOCK", 8)
    image = noise(4, 37)
    for one, other in zip(gathered([image], 1), whole_pyramid(image, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_sizes() -> None:
    assert level_sizes(512, 512, least=512) == ((512, 512),)
    assert level_sizes(513, 1, least=512) == ((513, 1), (257, 1))
    assert level_sizes(5, 3, least=1) == ((5, 3), (3, 2), (2, 1), (1, 1))
    with pytest.raises(InputError, match="at least 1; found 0x3"):
        level_sizes(0, 3, least=1)
