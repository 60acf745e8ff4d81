"""Backing off covers everything exactly once, whatever fails and whenever."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling import Backoff, Block, Grid, Interval, Size

properties = settings(max_examples=60, deadline=None, derandomize=True)


def new_backoff(cell: int = 1) -> Backoff:
    return Backoff(cell=cell, is_out_of_memory=lambda error: isinstance(error, MemoryError))


def grid_blocks(cells: Size, tile: Size, cell: int, frames: int) -> list[Block]:
    return [Block(Interval(0, frames), region) for region in Grid.of(cells, tile, cell)]


def visits(blocks: Iterable[Block], plane: Size, frames: int) -> np.ndarray:
    count = np.zeros((frames, plane.height, plane.width), int)
    for block in blocks:
        count[block.slices] += 1
    return count


@properties
@given(
    cells=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    tile=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    cell=st.integers(1, 3),
    frames=st.integers(1, 3),
    share=st.floats(0, 1),
)
def test_failing_above_any_volume_still_covers_everything_once_and_in_order(
    cells: tuple[int, int], tile: tuple[int, int], cell: int, frames: int, share: float
) -> None:
    blocks = grid_blocks(Size(*cells), Size(*tile), cell, frames)
    limit = max(cell * cell, int(share * max(block.volume for block in blocks)))

    def work(block: Block) -> Block:
        if block.volume > limit:
            raise MemoryError
        return block

    done = list(new_backoff(cell).run(blocks, work))
    assert all(block is result for block, result in done)
    assert (visits([b for b, _ in done], Size(*cells).scale(cell), frames) == 1).all()
    assert_order(blocks, [block for block, _ in done])


def assert_order(blocks: list[Block], done: list[Block]) -> None:
    """Each original block's parts come together, in the original order."""
    owners = [
        next(
            index
            for index, whole in enumerate(blocks)
            if whole.region.y.contains(part.region.y)
            and whole.region.x.contains(part.region.x)
            and whole.frames.contains(part.frames)
        )
        for part in done
    ]
    assert owners == sorted(owners)


@pytest.mark.parametrize("failing_call", range(7))
def test_a_failure_at_any_single_call_loses_and_repeats_nothing(failing_call: int) -> None:
    blocks = grid_blocks(Size(6, 4), Size(2, 2), 1, 1)
    calls = 0

    def work(block: Block) -> int:
        nonlocal calls
        calls += 1
        if calls == failing_call + 1:
            raise MemoryError
        return calls

    done = list(new_backoff().run(blocks, work))
    assert (visits([block for block, _ in done], Size(6, 4), 1) == 1).all()
    failed = failing_call < len(blocks)
    before = min(failing_call, len(blocks))
    # Those before the failure stay whole; it and those after it are cut in two.
    assert len(done) == before + 2 * (len(blocks) - before)
    assert calls == len(done) + failed


def test_every_block_that_can_be_cut_may_fail_once() -> None:
    failed: set[Block] = set()

    def work(block: Block) -> None:
        if block not in failed and block.volume > 1:
            failed.add(block)
            raise MemoryError

    done = [
        block for block, _ in new_backoff().run(grid_blocks(Size(4, 4), Size(4, 4), 1, 2), work)
    ]
    assert (visits(done, Size(4, 4), 2) == 1).all()
    assert {block.volume for block in done} == {1}


def test_what_was_too_large_is_remembered_for_the_next_run() -> None:
    tried: list[int] = []

    def work(block: Block) -> None:
        tried.append(block.volume)
        if block.volume > 4:
            raise MemoryError

    backoff = new_backoff()
    blocks = grid_blocks(Size(4, 4), Size(4, 4), 1, 1)
    list(backoff.run(blocks, work))
    assert tried[:3] == [16, 8, 4]
    assert backoff.too_large == 8
    tried.clear()
    list(backoff.run(blocks, work))
    assert tried == [4] * 4


def test_another_error_passes_through_as_it_came() -> None:
    problem = ValueError("not about memory")

    def work(block: Block) -> None:
        raise problem

    with pytest.raises(ValueError, match="not about memory") as caught:
        list(new_backoff().run(grid_blocks(Size(4, 4), Size(2, 2), 1, 1), work))
    assert caught.value is problem


def test_the_error_of_a_block_that_cannot_be_cut_is_raised_after_what_came_before() -> None:
    def work(block: Block) -> None:
        if block.region.x.start >= 2:
            raise MemoryError("full")

    run = new_backoff().run(grid_blocks(Size(1, 4), Size(1, 1), 1, 1), work)
    assert [next(run)[0].region.x.start for _ in range(2)] == [0, 1]
    with pytest.raises(MemoryError, match="full"):
        next(run)


def test_an_error_of_the_consumer_is_not_taken_for_the_works() -> None:
    run = new_backoff().run(grid_blocks(Size(4, 4), Size(4, 4), 1, 1), lambda block: block)
    next(run)
    with pytest.raises(MemoryError, match="the consumer's"):
        run.throw(MemoryError("the consumer's"))


class Activations:
    """Stands for a tensor: something whose life a weak reference can watch."""


def test_what_a_failed_call_held_is_free_before_the_next_one() -> None:
    held: list[weakref.ref[Activations]] = []
    told: list[tuple[int, int]] = []

    def work(block: Block) -> Activations:
        assert all(reference() is None for reference in held)
        activations = Activations()
        held.append(weakref.ref(activations))
        if block.volume > 2:
            raise MemoryError(activations)
        return Activations()

    def on_shrink(block: Block, left: int) -> None:
        assert held[-1]() is None
        told.append((block.volume, left))

    backoff = Backoff(
        cell=1, is_out_of_memory=lambda error: isinstance(error, MemoryError), on_shrink=on_shrink
    )
    for _ in backoff.run(grid_blocks(Size(2, 4), Size(2, 4), 1, 1), work):
        pass
    assert told == [(8, 2), (4, 4)]


def test_a_result_is_not_kept_after_it_was_handed_over() -> None:
    def work(block: Block) -> Activations:
        return Activations()

    run = new_backoff().run(grid_blocks(Size(1, 2), Size(1, 1), 1, 1), work)
    _, first = next(run)
    reference = weakref.ref(first)
    next(run)
    del first
    assert reference() is None
