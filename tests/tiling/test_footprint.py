"""Footprints against an explicit count of which input reaches which output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tiling import Footprint, Interval, halo, reads, scale

properties = settings(max_examples=100, deadline=None, derandomize=True)

footprints = st.builds(
    Footprint,
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    upscale=st.integers(1, 3),
)
same_size = st.integers(0, 3).map(lambda reach: Footprint(kernel=2 * reach + 1, padding=reach))
upscales = st.integers(2, 4).map(lambda factor: Footprint(upscale=factor))
strides = st.integers(2, 3).map(lambda stride: Footprint(kernel=3, stride=stride, padding=1))


def inputs_of(footprint: Footprint, outputs: set[int]) -> set[int]:
    """Every input that the outputs are made of, on an axis without ends."""
    return {
        (out * footprint.stride - footprint.padding + tap) // footprint.upscale
        for out in outputs
        for tap in range(footprint.kernel)
    }


def inputs_of_chain(chain: Sequence[Footprint], outputs: set[int]) -> set[int]:
    for footprint in reversed(chain):
        outputs = inputs_of(footprint, outputs)
    return outputs


def apply(footprint: Footprint, axis: np.ndarray) -> np.ndarray:
    """A window of ones: an output is positive exactly where a positive input reaches it."""
    large = np.pad(np.repeat(axis, footprint.upscale), footprint.padding)
    windows = np.lib.stride_tricks.sliding_window_view(large, footprint.kernel)
    return windows[:: footprint.stride].sum(axis=-1)


@properties
@given(footprints, st.integers(-20, 20), st.integers(1, 9))
def test_reads_is_what_the_outputs_are_made_of(fp: Footprint, start: int, size: int) -> None:
    out = Interval(start, start + size)
    needed = inputs_of(fp, set(range(out.start, out.stop)))
    read = fp.reads(out)
    assert (read.start, read.stop) == (min(needed), max(needed) + 1)
    if fp.stride <= fp.kernel:  # windows leave no gaps between them
        assert needed == set(range(read.start, read.stop))


@properties
@given(footprints, st.integers(1, 14), st.data())
def test_an_impulse_outside_what_is_read_changes_nothing(
    fp: Footprint, size: int, data: st.DataObject
) -> None:
    made = fp.out_size(size)
    assume(made > 0)
    start = data.draw(st.integers(0, made - 1))
    out = Interval(start, data.draw(st.integers(start + 1, made)))
    read = fp.reads(out)
    influential = set()
    for place in range(size):
        impulse = np.zeros(size)
        impulse[place] = 1
        response = apply(fp, impulse)
        assert len(response) == made
        if response[out.start : out.stop].any():
            influential.add(place)
    clipped = read.clip(0, size)
    assert influential <= set(range(clipped.start, clipped.stop))
    if fp.stride <= fp.kernel:
        assert influential == set(range(clipped.start, clipped.stop))


@properties
@given(st.lists(footprints, min_size=1, max_size=4), st.integers(-9, 9), st.integers(1, 6))
def test_a_chain_reads_all_that_its_outputs_are_made_of(
    chain: list[Footprint], start: int, size: int
) -> None:
    needed = inputs_of_chain(chain, set(range(start, start + size)))
    read = reads(chain, Interval(start, start + size))
    assert set(range(read.start, read.stop)) >= needed
    if all(fp.stride <= fp.kernel for fp in chain):
        assert set(range(read.start, read.stop)) == needed


@properties
@given(
    st.one_of(
        st.lists(st.one_of(same_size, upscales), min_size=1, max_size=6),
        st.lists(st.one_of(same_size, strides), min_size=1, max_size=5),
    ),
    st.integers(-3, 3),
    st.integers(1, 3),
)
def test_halo_is_what_a_tile_of_any_size_anywhere_needs_beyond_its_own(
    chain: list[Footprint], first: int, count: int
) -> None:
    up, down = scale(chain)
    made = range(first * up, (first + count) * up)
    own = range(first * down, (first + count) * down)
    needed = inputs_of_chain(chain, set(made))
    assert halo(chain) == max(own.start - min(needed), max(needed) + 1 - own.stop)


@properties
@given(footprints, st.integers(4, 20))
def test_out_size_counts_the_elements_of_a_real_array(fp: Footprint, size: int) -> None:
    assume(fp.out_size(size) > 0)
    assert fp.out_size(size) == len(apply(fp, np.ones(size)))


def test_reading_nothing_needs_nothing() -> None:
    assert Footprint(kernel=3, padding=1, upscale=2).reads(Interval(6, 6)).size == 0


@pytest.mark.parametrize(
    "wrong", [{"kernel": 0}, {"stride": 0}, {"upscale": 0}, {"padding": -1}], ids=str
)
def test_impossible_footprints_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Footprint(**wrong)
