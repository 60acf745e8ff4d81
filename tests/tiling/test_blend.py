"""Weights sum to one everywhere, whatever the patches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling import Cover, Interval, patches, weights

properties = settings(max_examples=80, deadline=None, derandomize=True)


def total(pieces: tuple[Interval, ...], size: int, ramp: int) -> np.ndarray:
    axis = np.zeros(size)
    for piece, weight in zip(pieces, weights(pieces, size, ramp), strict=True):
        assert weight.dtype == np.float32
        assert weight.shape == (piece.size,)
        assert (weight > 0).all()
        axis[piece.start : piece.stop] += weight
    return axis


@properties
@given(st.integers(1, 70), st.integers(1, 20), st.integers(0, 12), st.integers(0, 30))
def test_weights_of_crops_sum_to_one(size: int, core: int, overlap: int, ramp: int) -> None:
    np.testing.assert_allclose(total(patches(size, core, overlap), size, ramp), 1, atol=1e-6)


@properties
@given(st.integers(1, 40), st.integers(0, 20), st.data())
def test_weights_of_arbitrary_pieces_sum_to_one(size: int, ramp: int, data: st.DataObject) -> None:
    cuts = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=4))})
    reach = st.integers(0, 6)
    pieces = tuple(
        Interval(start - data.draw(reach), stop + data.draw(reach)).clip(0, size)
        for start, stop in pairwise(cuts)
    )
    np.testing.assert_allclose(total(pieces, size, ramp), 1, atol=1e-6)


@properties
@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 12), st.integers(0, 24))
def test_mirrored_crops_have_mirrored_weights(
    size: int, core: int, overlap: int, ramp: int
) -> None:
    pieces = patches(size, core, overlap)
    mirrored = tuple(Interval(size - p.stop, size - p.start) for p in reversed(pieces))
    there = weights(pieces, size, ramp)
    back = weights(mirrored, size, ramp)
    for weight, other in zip(there, reversed(back), strict=True):
        np.testing.assert_allclose(weight, other[::-1], atol=1e-7)


@properties
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(1, 12),
    st.integers(0, 6),
)
def test_products_of_two_axes_sum_to_one_at_the_corners_too(
    plane: tuple[int, int], core: int, overlap: int
) -> None:
    high, wide = (patches(size, core, overlap) for size in plane)
    sums = np.zeros(plane)
    for y, y_weight in zip(high, weights(high, plane[0], 2 * overlap), strict=True):
        for x, x_weight in zip(wide, weights(wide, plane[1], 2 * overlap), strict=True):
            sums[y.start : y.stop, x.start : x.stop] += np.outer(y_weight, x_weight)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


@properties
@given(st.integers(1, 70), st.integers(1, 20), st.integers(0, 12))
def test_crops_are_the_cover_grown_by_the_overlap(size: int, core: int, overlap: int) -> None:
    for patch, piece in zip(patches(size, core, overlap), Cover(size, core), strict=True):
        assert patch.start == max(0, piece.start - overlap)
        assert patch.stop == min(size, piece.stop + overlap)


def test_a_lone_crop_weighs_one_and_a_pair_crosses_over_evenly() -> None:
    (alone,) = weights([Interval(0, 5)], size=5, ramp=4)
    assert alone.tolist() == [1] * 5
    left, right = weights([Interval(0, 6), Interval(2, 8)], size=8, ramp=4)
    assert left.tolist() == [1, 1, 0.875, 0.625, 0.375, 0.125]
    assert right.tolist() == left[::-1].tolist()


@pytest.mark.parametrize(
    ("pieces", "complaint"),
    [
        ([], "cover the axis"),
        ([Interval(1, 8)], "cover the axis"),
        ([Interval(0, 7)], "cover the axis"),
        ([Interval(0, 3), Interval(5, 8)], "element 3 of 8 is in none"),
    ],
)
def test_crops_that_leave_a_gap_are_refused(pieces: list[Interval], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        weights(pieces, size=8, ramp=2)
