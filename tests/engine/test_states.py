"""What tiles remember is the same part of the same plane at the same time, whatever the tiles."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.engine.running.state_storage import storage_on
from taesd_stream.engine.running.tile_states import TileStates
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.temporal import MemBlock, TimePool
from taesd_stream.models.layers.tile_state import LayerStates
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from tiling import Grid, Interval, Region, Size

properties = settings(max_examples=25, deadline=None, derandomize=True)

CPU = torch.device("cpu")
PLANE = Size(7, 9)
WHOLE = Region.whole(PLANE.scale(2))


def block(channels: int) -> MemBlock:
    return MemBlock(Chain([Conv(2 * channels, 2), ReLU(), Conv(2, channels)]))


def network() -> Network:
    layers: list[Layer] = [Conv(2, 3), block(3), block(3), Upsample(2), Conv(3, 1), TimePool(1, 3)]
    return Network(dict(enumerate(layers)), 2)


NETWORK = network()
(PASS,) = NETWORK.passes


class Truth:
    """What every layer would remember of its whole input plane, drawn anew for every step."""

    def __init__(self) -> None:
        self._planes: dict[int, dict[nn.Module, Tensor]] = {}

    def whole(self, at: int) -> dict[nn.Module, Tensor]:
        if at not in self._planes:
            generator = torch.Generator().manual_seed(at)
            self._planes[at] = {
                each.layer: torch.rand(
                    1 + at % max(1, each.layer.kept_steps),
                    each.channels,
                    each.region.y.stop,
                    each.region.x.stop,
                    generator=generator,
                )
                for each in PASS.state_regions(WHOLE, PLANE)
                # The pool forgets all, every third step.
                if at and not (isinstance(each.layer, TimePool) and at % 3 == 0)
            }
        return self._planes[at]

    def part(self, tile: Region, at: int) -> dict[nn.Module, Tensor]:
        planes = self.whole(at)
        return {
            each.layer: _cut(planes[each.layer], each.region)
            for each in PASS.state_regions(tile, PLANE)
            if each.layer in planes
        }


def _cut(plane: Tensor, region: Region) -> Tensor:
    return plane[:, :, region.y.start : region.y.stop, region.x.start : region.x.stop].clone()


def assert_same(found: LayerStates, expected: LayerStates) -> None:
    assert set(found) == set(expected)
    for layer, tensor in expected.items():
        assert torch.equal(found[layer], tensor)


def tiles_of(tile: Size) -> list[Region]:
    return list(Grid.of(PLANE, tile, cell=2))


def step(states: TileStates, truth: Truth, tile: Region, at: int) -> None:
    """One tile's turn: from what it remembers after ``at`` steps to what it does after one more."""
    assert_same(states.recall(tile, at), truth.part(tile, at))
    states.keep(tile, at + 1, truth.part(tile, at + 1))


sizes = st.builds(Size, st.integers(1, 7), st.integers(1, 9))


@pytest.mark.parametrize("storage", ["device", "scratch"])
@properties
@given(
    turns=st.lists(st.tuples(sizes, st.integers(1, 3), st.booleans()), min_size=1, max_size=5),
)
def test_tiles_may_change_at_every_turn(
    storage: str, turns: Sequence[tuple[Size, int, bool]]
) -> None:
    truth = Truth()
    states = TileStates(PASS, PLANE, storage_on(storage, CPU))  # type: ignore[arg-type]
    at = 0
    for size, steps, moves in turns:
        for tile in tiles_of(size):
            for done in range(steps):
                step(states, truth, tile, at + done)
        at += steps
        states.at = at
        kept = states.whole()
        assert_same(kept, truth.whole(at))
        if moves:
            states = TileStates(PASS, PLANE, storage_on(storage, CPU))  # type: ignore[arg-type]
            states.begin_with(kept, at)
            assert states.at == at


@settings(properties, max_examples=150)
@given(
    turns=st.lists(st.tuples(sizes, st.integers(1, 3)), min_size=1, max_size=3),
    fails=st.sets(st.integers(0, 60), max_size=6),
)
def test_a_tile_may_be_cut_in_the_middle_of_its_turn(
    turns: Sequence[tuple[Size, int]], fails: set[int]
) -> None:
    """As when memory runs out: from then on all tiles as large are cut, those done are not."""
    truth, states = Truth(), TileStates(PASS, PLANE, storage_on("device", CPU))
    done = 0
    for size, steps in turns:
        queue = [(tile, states.at + at) for tile in tiles_of(size) for at in range(steps)]
        while queue:
            tile, at = queue.pop(0)
            done += 1
            if done in fails and tile.area > 4:
                assert_same(states.recall(tile, at), truth.part(tile, at))  # then it fails
                queue = [part for each in [(tile, at), *queue] for part in halves(each, tile.area)]
            else:
                step(states, truth, tile, at)
        states.at += steps
        assert_same(states.whole(), truth.whole(states.at))


def halves(job: tuple[Region, int], too_large: int) -> list[tuple[Region, int]]:
    tile, at = job
    if tile.area < too_large or tile.area == 4:
        return [job]
    y, x = tile.y, tile.x
    if y.size >= x.size:
        return [(Region(part.scale(2), x), at) for part in y.divide(2).halve()]
    return [(Region(y, part.scale(2)), at) for part in x.divide(2).halve()]


LEFT, RIGHT = (Region(WHOLE.y, part.scale(2)) for part in Interval(0, 9).halve())


def begun(truth: Truth, tiles: Sequence[Region], at: int = 1) -> TileStates:
    states = TileStates(PASS, PLANE, storage_on("device", CPU))
    for tile in tiles:
        states.keep(tile, at, truth.part(tile, at))
    states.at = at
    return states


def test_nothing_is_remembered_at_the_beginning() -> None:
    states = TileStates(PASS, PLANE, storage_on("device", CPU))
    assert states.at == 0
    assert states.recall(LEFT, 0) == {}
    assert states.whole() == {}


def test_parts_of_another_time_are_left_out() -> None:
    """The left half goes ahead; what the right half needs is still that of the whole."""
    truth = Truth()
    states = begun(truth, [WHOLE])
    step(states, truth, LEFT, 1)
    step(states, truth, LEFT, 2)
    inner = Region(Interval(2, 6), Interval(2, 4))  # within the left half
    assert_same(states.recall(inner, 3), truth.part(inner, 3))
    inner = Region(Interval(2, 6), Interval(12, 18))  # within the right half
    assert_same(states.recall(inner, 1), truth.part(inner, 1))
    step(states, truth, RIGHT, 1)
    step(states, truth, RIGHT, 2)
    assert_same(states.recall(WHOLE, 3), truth.whole(3))


def test_a_part_that_goes_on_twice_in_other_tiles_leaves_the_rest_what_it_needs() -> None:
    """The left half goes on, is cut, and goes on: the right half still begins with the whole."""
    truth = Truth()
    states = begun(truth, [WHOLE])
    step(states, truth, LEFT, 1)
    upper, lower = (Region(part.scale(2), LEFT.x) for part in Interval(0, 7).halve())
    for tile in (upper, lower):
        step(states, truth, tile, 2)
    step(states, truth, RIGHT, 1)
    step(states, truth, RIGHT, 2)
    assert_same(states.recall(WHOLE, 3), truth.whole(3))


def test_the_same_tile_gets_back_what_it_kept_without_a_copy() -> None:
    truth = Truth()
    states = begun(truth, [])
    kept = truth.part(LEFT, 1)
    states.keep(LEFT, 1, kept)
    assert states.recall(LEFT, 1) is kept


def test_what_is_put_together_is_a_copy_in_the_format_that_is_computed_in() -> None:
    truth = Truth()
    states = begun(truth, [LEFT, RIGHT])
    for tensor in states.recall(WHOLE, 1).values():
        tensor.fill_(7)
    assert_same(states.recall(WHOLE, 1), truth.whole(1))
    whole = states.whole()
    for tensor in whole.values():
        tensor.fill_(7)
    assert_same(states.whole(), truth.whole(1))
    together = states.recall(WHOLE, 1)
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in together.values())


def watched(truth: Truth, tile: Region, at: int) -> tuple[LayerStates, Callable[[], bool]]:
    """A tile's memory, and whether it is still held by anybody."""
    kept = truth.part(tile, at)
    references = [weakref.ref(tensor) for tensor in kept.values()]

    def is_held() -> bool:
        return any(reference() is not None for reference in references)

    return kept, is_held


def test_a_memory_is_let_go_once_all_of_its_tile_has_gone_on() -> None:
    truth, states = Truth(), TileStates(PASS, PLANE, storage_on("device", CPU))
    kept, is_held = watched(truth, WHOLE, 1)
    states.keep(WHOLE, 1, kept)
    del kept
    for tile, at, held in ((LEFT, 1, True), (LEFT, 2, True), (RIGHT, 1, False)):
        step(states, truth, tile, at)
        assert is_held() == held
    kept, is_held = watched(truth, LEFT, 4)
    states.keep(LEFT, 4, kept)
    del kept
    step(states, truth, LEFT, 4)
    assert not is_held()


def test_nothing_is_kept_after_the_last_step() -> None:
    truth = Truth()
    states = TileStates(PASS, PLANE, storage_on("device", CPU), ends_at=2)
    for tile in (LEFT, RIGHT):
        step(states, truth, tile, 0)
        kept, is_held = watched(truth, tile, 2)
        assert states.recall(tile, 1)
        states.keep(tile, 2, kept)
        del kept
        assert not is_held()


def test_a_state_to_begin_with_may_be_of_no_steps() -> None:
    states = TileStates(PASS, PLANE, storage_on("scratch", CPU))
    states.begin_with({}, 0)
    assert states.recall(RIGHT, 0) == {}
    assert states.whole() == {}


class Counting:
    """A storage that notes what is put there and what is fetched."""

    def __init__(self) -> None:
        self.put_there: list[LayerStates] = []
        self.fetched = 0

    def put(self, kept: LayerStates) -> Callable[[], LayerStates]:
        self.put_there.append(kept)

        def fetch() -> LayerStates:
            self.fetched += 1
            return kept

        return fetch


def test_a_tile_makes_room_when_another_has_its_turn_and_no_sooner() -> None:
    truth, storage = Truth(), Counting()
    states = TileStates(PASS, PLANE, storage)
    for at in range(3):
        step(states, truth, LEFT, at)
    assert storage.put_there == []
    step(states, truth, RIGHT, 0)
    (left,) = storage.put_there
    assert_same(left, truth.part(LEFT, 3))
    step(states, truth, RIGHT, 1)
    assert len(storage.put_there) == 1
    assert storage.fetched == 0
    step(states, truth, LEFT, 3)
    assert (len(storage.put_there), storage.fetched) == (2, 1)


@pytest.mark.parametrize("storage", ["device", "scratch"])
def test_a_tile_that_fails_is_asked_for_again(storage: str) -> None:
    truth = Truth()
    states = TileStates(PASS, PLANE, storage_on(storage, CPU))  # type: ignore[arg-type]
    step(states, truth, LEFT, 0)
    step(states, truth, RIGHT, 0)
    for _ in range(3):
        assert_same(states.recall(LEFT, 1), truth.part(LEFT, 1))
    step(states, truth, LEFT, 1)
    assert_same(states.recall(RIGHT, 1), truth.part(RIGHT, 1))
