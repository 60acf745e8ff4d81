"""Covers, grids, blocks, and the plan in words and in figures."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiling import (
    Block,
    Cover,
    Grid,
    Interval,
    PassPlan,
    Region,
    Size,
    StatePlan,
    TilePlan,
    choose_tile,
    format_bytes,
)

properties = settings(max_examples=80, deadline=None, derandomize=True)
lengths = st.integers(1, 200)


@properties
@given(lengths, lengths)
def test_a_cover_is_complete_ordered_and_nearly_equal(size: int, tile: int) -> None:
    cover = Cover(size, tile)
    pieces = list(cover)
    assert len(pieces) == len(cover) == -(-size // tile)
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == size
    sizes = [piece.size for piece in pieces]
    assert max(sizes) == cover.longest <= tile
    assert max(sizes) - min(sizes) <= 1


@properties
@given(lengths, lengths)
def test_covering_with_the_longest_piece_changes_nothing(size: int, tile: int) -> None:
    cover = Cover(size, tile)
    assert list(Cover(size, cover.longest)) == list(cover)


@properties
@given(st.builds(Size, *[st.integers(1, 20)] * 2), st.builds(Size, *[st.integers(1, 20)] * 2))
def test_a_grid_visits_every_element_once_row_by_row(cells: Size, tile: Size) -> None:
    grid = Grid.of(cells, tile, cell=2)
    count = np.zeros((2 * cells.height, 2 * cells.width), int)
    for region in grid:
        count[region.y.start : region.y.stop, region.x.start : region.x.stop] += 1
    assert (count == 1).all()
    assert len(list(grid)) == len(grid)
    corners = [(region.y.start, region.x.start) for region in grid]
    assert corners == sorted(corners)
    assert grid.tile.height <= tile.height
    assert grid.tile.width <= tile.width


sizes = st.builds(Size, *[st.integers(1, 20)] * 2)


@pytest.mark.parametrize(("size", "tile"), [(0, 1), (1, 0), (-3, 2)])
def test_an_empty_axis_or_tile_is_refused(size: int, tile: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Cover(size, tile)


@properties
@given(
    st.integers(1, 5), st.builds(Size, *[st.integers(1, 9)] * 2), st.integers(1, 3), st.integers(0)
)
def test_halves_of_a_block_make_it_up(frames: int, cells: Size, cell: int, start: int) -> None:
    region = Region.whole(cells).scale(cell).shift(start * cell, 0)
    block = Block(Interval(start, start + frames), region)
    parts = block.halve(cell)
    if not parts:
        assert (frames, cells) == (1, Size(1, 1))
        return
    first, second = parts
    assert first.volume + second.volume == block.volume
    assert second.volume <= first.volume < block.volume
    if frames > 1:
        assert first.region == second.region == region
        assert first.frames.stop == second.frames.start
    else:
        axis = "y" if cells.height >= cells.width else "x"
        before, after = getattr(first.region, axis), getattr(second.region, axis)
        assert before.stop == after.start
        assert before.size % cell == after.size % cell == 0


def a_plan(**changes: object) -> TilePlan:
    grid = Grid.of(Size(128, 96), tile=Size(64, 64), cell=8)
    plan = TilePlan(
        model="taesd",
        action="decode",
        frames=3,
        latents=Size(128, 96),
        pixels=Size(1024, 768),
        overlap="exact",
        patches=((Interval(0, 128),), (Interval(0, 96),)),
        batch=1,
        passes=(PassPlan(grid, work=110, peak_elements=1000, peak_bytes=320 << 20),),
        work=110,
        undivided_work=100,
        budget_bytes=2 << 30,
        where="cpu float32 torch",
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def test_the_plan_reads_as_a_sentence() -> None:
    assert str(a_plan()) == (
        "decode 3 frames of 768x1024 pixels with taesd on cpu float32 torch: 4 exact tiles of up"
        " to 48x64 latents; recompute 10.0%, peak 320 MiB of 2 GiB"
    )
    assert str(a_plan(seconds=170.0)) == f"{a_plan()}, about 3 min"
    assert a_plan(seconds=170.0).to_json()["seconds"] == 170.0


def test_a_plan_of_one_tile_is_undivided_and_one_frame_is_singular() -> None:
    grid = Grid.of(Size(128, 96), tile=Size(128, 96), cell=8)
    passes = (PassPlan(grid, 100, 1000, 1 << 20),)
    assert ": undivided; " in str(a_plan(passes=passes))
    assert str(a_plan(frames=1)).startswith("decode 1 frame of ")
    assert str(a_plan(frames=None)).startswith("decode frames as they come of ")


def test_the_plan_tells_of_passes_batches_encoding_and_blending() -> None:
    plan = a_plan()
    assert "48x64 latents, in 2 passes; " in str(replace(plan, passes=plan.passes * 2))
    assert ", 4 frames at a time; " in str(replace(plan, batch=4))
    assert str(replace(plan, action="encode")).startswith("encode 3 frames of 768x1024 pixels")
    patches = (Interval(0, 72), Interval(56, 128)), (Interval(0, 96),)
    blended = str(replace(plan, overlap=8, patches=patches))
    assert "2 patches of up to 96x72 latents, blended over 8 on each side, each 4 exact" in blended


def test_figures_of_the_plan() -> None:
    plan = a_plan()
    large = replace(plan.passes[0], peak_bytes=500 << 20)
    two = replace(plan, passes=(large, *plan.passes), batch=2)
    assert plan.tile == Size(64, 48)
    assert plan.tiles == 4
    assert plan.recompute == pytest.approx(0.1)
    assert two.peak_bytes == 2 * (500 << 20)
    patches = (Interval(0, 72), Interval(56, 128)), (Interval(0, 96),)
    assert replace(plan, overlap=8, patches=patches).tiles == 8


def test_attention_is_told_of_where_it_takes_long() -> None:
    much = replace(a_plan(), attention=0.4)
    assert "attention" not in str(much)
    assert "attention 40% of the work" in str(replace(much, latents=Size(512, 512)))


def test_the_plan_is_plain_json() -> None:
    values = json.loads(json.dumps(a_plan().to_json()))
    assert values == {
        "model": "taesd",
        "action": "decode",
        "where": "cpu float32 torch",
        "frames": 3,
        "latents": [128, 96],
        "pixels": [1024, 768],
        "tile": [64, 48],
        "tiles": 4,
        "overlap": "exact",
        "passes": 1,
        "chunk": None,
        "batch": 1,
        "threads": 1,
        "recorded_bytes": 0,
        "memory": None,
        "scratch": False,
        "written_bytes": 0,
        "read_bytes": 0,
        "shortcuts": None,
        "attention": 0.0,
        "crop": None,
        "wrap": "",
        "recompute": pytest.approx(0.1),
        "peak_bytes": 320 << 20,
        "budget_bytes": 2 << 30,
        "seconds": None,
        "units": None,
    }


MIB = 1 << 20


@pytest.mark.parametrize(
    ("segment", "storage", "words"),
    [
        (1, "device", "frame by frame, remembering 64 MiB"),
        (4, "device", "4 steps a turn, remembering 64 MiB"),
        (1, "host", "frame by frame, remembering 64 MiB in the host's memory"),
        (16, "scratch", "16 steps a turn, remembering 64 MiB in scratch files"),
        (None, "device", "tile by tile through all steps, each remembering 64 MiB"),
    ],
)
def test_the_plan_tells_what_is_remembered_and_in_which_order(
    segment: int | None, storage: Literal["device", "host", "scratch"], words: str
) -> None:
    state = StatePlan(segment, storage, tiles_bytes=64 * MIB, held_bytes=80 * MIB)
    assert str(state) == words
    assert f"48x64 latents, {words}; recompute" in str(a_plan(state=state))
    several = str(a_plan(state=state, batch=4))
    assert f"48x64 latents, 4 steps at a time, {words}; recompute" in several


def test_what_is_held_besides_is_part_of_the_peak_and_of_the_json() -> None:
    state = StatePlan(4, "host", tiles_bytes=64 * MIB, held_bytes=80 * MIB)
    plan = a_plan(state=state, batch=2)
    assert plan.peak_bytes == (2 * 320 + 80) * MIB
    values = json.loads(json.dumps(plan.to_json()))
    assert values["peak_bytes"] == plan.peak_bytes
    assert values["memory"] == {
        "segment": 4,
        "home": "host",
        "tiles_bytes": 64 * MIB,
        "held_bytes": 80 * MIB,
    }


def test_the_quickest_tile_that_fits_is_chosen() -> None:
    small, medium, large = Size(8, 8), Size(16, 16), Size(32, 32)
    peak_bytes = {small: 10, medium: 20, large: 40}
    seconds = {small: 3.0, medium: 1.0, large: 2.0}
    assert choose_tile(peak_bytes, seconds, 40) == medium
    assert choose_tile(peak_bytes, seconds, 20) == medium
    assert choose_tile(peak_bytes, seconds, 19) == small
    assert choose_tile(peak_bytes, seconds, 9) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1000, "1000 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1023 * 1024 - 1, "1023 KiB"),
        (999 * 1024 + 1000, "1000 KiB"),
        (2**20, "1 MiB"),
        (2 * 2**30, "2 GiB"),
        (2**40, "1 TiB"),
        (1500 * 2**40, "1500 TiB"),
    ],
)
def test_bytes_in_the_unit_a_person_would_use(count: int, text: str) -> None:
    assert format_bytes(count) == text


@properties
@given(st.integers(0, 2**50))
def test_formatted_bytes_are_never_off_by_more_than_half_a_percent(count: int) -> None:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) (B|KiB|MiB|GiB|TiB)", format_bytes(count))
    assert match is not None
    power = ("B", "KiB", "MiB", "GiB", "TiB").index(match[2])
    assert float(match[1]) * 1024**power == pytest.approx(count, rel=0.0051)
