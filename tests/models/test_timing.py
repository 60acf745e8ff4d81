"""How latents and frames count, against lists of frames that are dropped one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taesd_stream.models import variant_named
from taesd_stream.models.timing import DecodeTiming, EncodeTiming

properties = settings(max_examples=60, deadline=None, derandomize=True)

totals = st.integers(0, 40)


@st.composite
def decode_timings(draw: st.DrawFn) -> DecodeTiming:
    growth = draw(st.integers(1, 6))
    lead = draw(st.integers(0, growth - 1))
    if draw(st.booleans()):
        return DecodeTiming(growth=growth, lead=lead, only_if_odd=draw(st.booleans()))
    chunk = draw(st.integers(1, 6))
    rest = draw(st.integers(1, chunk))
    return DecodeTiming(growth=growth, lead=lead, chunk=chunk, rest=rest)


@st.composite
def encode_timings(draw: st.DrawFn) -> EncodeTiming:
    shrink = draw(st.integers(1, 6))
    if draw(st.booleans()):
        return EncodeTiming(shrink=shrink)
    per_group, zeros = draw(st.integers(1, 5)), draw(st.integers(0, shrink - 1))
    return EncodeTiming(
        shrink=shrink,
        group=per_group * shrink - zeros,
        zeros=zeros,
        tail=draw(st.integers(0, per_group - 1)),
    )


def usable_latents(timing: DecodeTiming, total: int) -> int:
    if timing.chunk is None:
        return total
    fitting = [n for n in range(timing.rest, total + 1) if (n - timing.rest) % timing.chunk == 0]
    return fitting[-1] if fitting else 0


def shown_frames(timing: DecodeTiming, total: int) -> list[int]:
    """The raw frames that are not dropped."""
    latents = list(range(usable_latents(timing, total)))
    length = timing.chunk or max(1, total)
    drops = timing.lead if not timing.only_if_odd or total % 2 == 1 else 0
    shown = []
    for start in range(0, len(latents), length):
        raw = [
            n * timing.growth + k
            for n in latents[start : start + length]
            for k in range(timing.growth)
        ]
        shown += raw[drops:]
    return shown


@properties
@given(decode_timings(), totals)
def test_frames_are_the_raw_ones_that_are_not_dropped(timing: DecodeTiming, total: int) -> None:
    shown = shown_frames(timing, total)
    assert timing.usable(total) == usable_latents(timing, total)
    assert timing.frames(total) == len(shown)
    assert [timing.raw(frame, total) for frame in range(len(shown))] == shown
    numbers = {raw: frame for frame, raw in enumerate(shown)}
    for raw in range(timing.usable(total) * timing.growth):
        assert timing.frame(raw, total) == numbers.get(raw)


@properties
@given(decode_timings(), totals)
def test_the_fewest_latents_make_a_frame_and_fewer_make_none(
    timing: DecodeTiming, more: int
) -> None:
    assert all(shown_frames(timing, total) == [] for total in range(timing.least))
    assert all(timing.frames(total) == 0 for total in range(timing.least))
    assert shown_frames(timing, timing.least) != []
    assert timing.frames(timing.least + more) >= timing.frames(timing.least) > 0


@properties
@given(decode_timings(), totals)
def test_what_is_ready_is_never_refused_later(timing: DecodeTiming, total: int) -> None:
    before = before_told = 0
    for arrived in range(total + 1):
        ready, told = timing.ready(arrived, None), timing.ready(arrived, total)
        assert before <= ready <= told <= min(arrived, timing.usable(total))
        assert before_told <= told
        assert all(ready <= timing.usable(later) for later in range(arrived, total + 12))
        before, before_told = ready, told
    assert timing.ready(total, total) == timing.usable(total)


@properties
@given(decode_timings(), totals)
def test_where_the_total_is_not_needed_frames_that_are_ready_do_not_depend_on_it(
    timing: DecodeTiming, total: int
) -> None:
    if timing.needs_total:
        assert timing.ready(total, None) == 0
        return
    assert timing.ready(total, None) == timing.usable(total)
    for raw in range(timing.ready(total, None) * timing.growth):
        frame = timing.frame(raw, None)
        assert frame == timing.frame(raw, total)
        assert frame is None or timing.raw(frame, None) == raw


def made_latents(timing: EncodeTiming, frames: int) -> list[tuple[int, int]]:
    """Group and place in it of each latent, and how often the last frame had to be repeated."""
    length = timing.group or max(1, frames)
    made = []
    for group, start in enumerate(range(0, frames, length)):
        shown = [*[-1] * timing.zeros, *range(start, min(start + length, frames))]
        while len(shown) % timing.shrink or (timing.group and len(shown) < length + timing.zeros):
            shown.append(frames - 1)
        made += [(group, place) for place in range(len(shown) // timing.shrink)]
    return made[: len(made) - timing.tail]


@properties
@given(encode_timings(), st.integers(1, 60))
def test_latents_are_those_of_full_groups(timing: EncodeTiming, frames: int) -> None:
    assert timing.latents(frames) == len(made_latents(timing, frames)) > 0
    repeats = timing.missing(frames)
    assert 0 <= repeats < (timing.group or timing.shrink)
    assert timing.latents(frames + repeats) == timing.latents(frames)
    assert timing.missing(frames + repeats) == 0
    begun = [frame for frame in range(frames) if timing.begins_group(frame)]
    assert begun == ([] if timing.group is None else list(range(0, frames, timing.group)))


VIDEO_COUNTS = {
    "taesdv": (1, 0),
    "taehv": (4, 3),
    "taew2_1": (4, 3),
    "taeos1_3": (4, 3),
    "taew2_2": (4, 3),
    "taew2_2_super": (4, 3),
    "taehv1_5": (4, 3),
    "taehv1_5_super": (4, 3),
    "taeltx_2": (8, 7),
    "taeltx2_3": (8, 7),
    "taem1": (6, 5),
}


@pytest.mark.parametrize("name", VIDEO_COUNTS)
def test_counts_of_the_official_models(name: str) -> None:
    growth, lead = VIDEO_COUNTS[name]
    variant = variant_named(name)
    assert [variant.timing.frames(n) for n in range(1, 30)] == [
        growth * n - lead for n in range(1, 30)
    ]
    shrink = growth
    latents = [variant.encode_timing.latents(frames) for frames in range(1, 61)]
    assert latents == [(frames + shrink - 1) // shrink for frames in range(1, 61)]


def test_cogvideox_drops_frames_of_an_odd_number_of_latents_alone() -> None:
    timing = variant_named("taecvx").timing
    assert [timing.frames(n) for n in (1, 2, 3, 4, 12, 13)] == [1, 8, 9, 16, 48, 49]
    assert [timing.raw(0, n) for n in (12, 13)] == [0, 3]
    assert timing.needs_total
    assert [timing.ready(7, total) for total in (None, 7, 12)] == [0, 7, 7]


def test_minimax_makes_seventeen_frames_of_five_latents_and_five_of_the_last_two() -> None:
    variant = variant_named("taeh3")
    timing = variant.timing
    for k in range(6):
        for left_over in range(5):
            assert timing.frames(5 * k + 2 + left_over) == 17 * k + 5
        assert variant.encode_timing.latents(17 * (k + 1)) == 5 * k + 2
        assert variant.encode_timing.latents(17 * k + 1) == 5 * k + 2
    assert [timing.frames(n) for n in (0, 1)] == [0, 0]
    dropped = [raw for raw in range(4 * 12) if timing.frame(raw, None) is None]
    assert dropped == [0, 1, 2, 20, 21, 22, 40, 41, 42]
    assert [timing.ready(n, None) for n in range(9)] == [0, 0, 2, 2, 2, 2, 2, 7, 7]


def test_image_models_make_a_frame_of_every_latent() -> None:
    timing, encode_timing = variant_named("taesd").timing, variant_named("taesd").encode_timing
    assert [timing.frames(n) for n in range(5)] == [0, 1, 2, 3, 4]
    assert [encode_timing.latents(n) for n in range(5)] == [0, 1, 2, 3, 4]
    assert (timing.least, timing.needs_total, timing.ready(3, None)) == (1, False, 3)
