"""Intervals and regions behave as the sets of integers that they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling import Interval, Region, Size

properties = settings(max_examples=80, deadline=None, derandomize=True)


@st.composite
def intervals(draw: st.DrawFn, low: int = -40, high: int = 40) -> Interval:
    start = draw(st.integers(low, high))
    return Interval(start, draw(st.integers(start, high)))


def members(interval: Interval) -> set[int]:
    return set(range(interval.start, interval.stop))


@properties
@given(intervals(), st.integers(-9, 9), st.integers(0, 9))
def test_shift_and_grow_move_the_ends(interval: Interval, by: int, more: int) -> None:
    assert members(interval.shift(by)) == {i + by for i in members(interval)}
    grown = interval.grow(more)
    assert grown.size == interval.size + 2 * more
    assert grown.contains(interval)


@properties
@given(intervals(), st.integers(1, 9))
def test_scale_makes_factor_elements_of_each(interval: Interval, factor: int) -> None:
    assert members(interval.scale(factor)) == {
        i * factor + k for i in members(interval) for k in range(factor)
    }
    assert interval.scale(factor).divide(factor) == interval


@properties
@given(intervals(), st.integers(1, 9))
def test_divide_is_the_smallest_cover(interval: Interval, factor: int) -> None:
    divided = interval.divide(factor)
    assert divided.scale(factor).contains(interval)
    assert members(divided) >= {i // factor for i in members(interval)}
    if interval.size:
        assert members(divided) == {i // factor for i in members(interval)}


@properties
@given(intervals(), st.integers(-40, 40), st.integers(0, 40))
def test_clip_is_the_intersection_and_stays_inside(interval: Interval, low: int, size: int) -> None:
    clipped = interval.clip(low, low + size)
    assert members(clipped) == members(interval) & set(range(low, low + size))
    assert low <= clipped.start <= clipped.stop <= low + size


@properties
@given(intervals(), intervals())
def test_contains_is_the_superset(outer: Interval, inner: Interval) -> None:
    assert outer.contains(inner) == (members(outer) >= members(inner))


@properties
@given(intervals(), intervals())
def test_overlap_is_what_both_hold(one: Interval, other: Interval) -> None:
    assert members(one.overlap(other)) == members(one) & members(other)


@properties
@given(intervals(), intervals())
def test_within_cuts_the_same_integers_out_of_a_list(outer: Interval, inner: Interval) -> None:
    held = list(range(outer.start, outer.stop))
    if outer.contains(inner):
        # An empty interval may lie outside; what it cuts must be empty all the same.
        if inner.size:
            assert set(held[inner.within(outer)]) == members(inner)
    else:
        with pytest.raises(ValueError, match="does not lie within"):
            inner.within(outer)


@properties
@given(intervals())
def test_halve_splits_in_order_and_evenly(interval: Interval) -> None:
    first, second = interval.halve()
    assert (first.start, second.stop) == (interval.start, interval.stop)
    assert first.stop == second.start
    assert first.size - second.size in (0, 1)


def test_an_interval_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Interval\(start=3, stop=2\)"):
        Interval(3, 2)


@properties
@given(intervals(0, 20), intervals(0, 20), st.integers(1, 4))
def test_a_region_is_the_product_of_its_intervals(y: Interval, x: Interval, factor: int) -> None:
    region = Region(y, x)
    assert region.shape == Size(y.size, x.size)
    assert region.area == region.shape.area == y.size * x.size
    assert region.scale(factor) == Region(y.scale(factor), x.scale(factor))
    assert region.divide(factor) == Region(y.divide(factor), x.divide(factor))
    assert region.shift(1, -2) == Region(y.shift(1), x.shift(-2))
    plane = Size(11, 7)
    assert region.clip(plane) == Region(y.clip(0, 11), x.clip(0, 7))
    other = Region(x, y)
    assert region.overlap(other) == Region(y.overlap(x), x.overlap(y))
    assert (region.overlap(other).area > 0) == bool(members(y) & members(x))
    left = region.without(other)
    points = [{(i, k) for i in members(part.y) for k in members(part.x)} for part in left]
    expected = {(i, k) for i in members(y) for k in members(x)}
    expected -= {(i, k) for i in members(other.y) for k in members(other.x)}
    assert set().union(*points) == expected
    assert sum(map(len, points)) == len(expected)
    outer = Region(region.y.grow(2), region.x.grow(2))
    assert region.within(outer) == (slice(2, 2 + y.size), slice(2, 2 + x.size))


def test_sizes_multiply_and_read_as_width_by_height() -> None:
    assert Size(3, 4).scale(8) == Size(24, 32)
    assert str(Size(height=3, width=4)) == "4x3"
    assert Region.whole(Size(3, 4)) == Region(Interval(0, 3), Interval(0, 4))
