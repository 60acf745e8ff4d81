"""A player: the arithmetic of its wishes, and its thread on a stand-in for a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import taesd_stream as ts
from taesd_stream.live.player import Player
from taesd_stream.live.playing import SPEEDS, Playing
from taesd_stream.live.supply import Played
from tests.live.asking import until

_WISHES = st.one_of(
    st.tuples(st.sampled_from(["play", "pause", "toggle", "shown"]), st.none()),
    st.tuples(st.just("step"), st.one_of(st.none(), st.integers(-20, 20))),
    st.tuples(st.just("seek"), st.integers(0, 20)),
    st.tuples(st.just("speed"), st.floats(*SPEEDS)),
)


@given(st.one_of(st.none(), st.integers(1, 12)), st.lists(_WISHES, max_size=30))
@settings(max_examples=150, deadline=None)
def test_whatever_is_wished_it_stays_within_its_frames(
    frames: int | None, wishes: list[tuple[str, Any]]
) -> None:
    playing = Playing(0, frames)
    for action, value in wishes:
        before = playing
        if action == "shown":
            playing = playing if playing.waits else playing.after_frame()
        else:
            playing = playing.told(action, value)
        assert playing.place in range(10**6 if frames is None else frames + 1)
        assert playing.steps >= 0
        # Whoever decodes is told wherever the next frame is another than the one that follows.
        followed = playing.place in (before.place, before.place + (action == "shown"))
        assert followed or playing.turns == before.turns + 1
        if action == "pause":
            assert playing.waits
        if action == "play":
            assert not playing.waits
        if action == "toggle":
            assert playing.is_paused != before.is_paused
        if action == "seek":
            assert playing.place == (value if frames is None else min(value, frames - 1))
            assert (playing.is_paused, playing.waits) == (before.is_paused, False)
        if action == "step":
            assert playing.is_paused
        if action == "speed":
            assert playing.speed == value


@pytest.mark.parametrize(
    ("action", "value"),
    [
        *(("speed", each) for each in (0, 9, -1, None, "2", True, float("nan"), float("inf"))),
        *(("seek", each) for each in (-1, None, "a", 2**60, [])),
        *(("step", each) for each in ("a", 10**9, True)),
        *((each, None) for each in ("", "PLAY", "None", "x" * 1000)),
    ],
)
def test_wishes_that_make_no_sense_are_refused(action: str, value: object) -> None:
    with pytest.raises(ts.InputError, match="expected"):
        Playing(0, 10).told(action, value)


class _Run:
    """A stand-in for a video's run, whose pictures hold their numbers."""

    plan = None

    def __init__(
        self, frames: int, *, fails_at: int | None = None, is_stream: bool = False
    ) -> None:
        self._frames, self.fails_at = frames, fails_at
        self.frame_count = None if is_stream else frames
        self._from = 0

    def part(self, place: int) -> _Run:
        run = _Run(self._frames, fails_at=self.fails_at)
        run._from = place
        return run

    def tensors(self) -> Iterator[torch.Tensor]:
        for number in range(self._from, self._frames):
            if number == self.fails_at:
                raise ts.LatentsError(f"latent {number}: it is broken")
            yield torch.full((1, 1, 3), number, dtype=torch.uint8)


class _Watched:
    """A player, and what it has shown."""

    def __init__(self, run: Any, *, rate: int = 1000, is_looped: bool = False) -> None:
        self.shown: list[tuple[int, int]] = []
        self.came: list[float] = []
        self.player = Player(Played(run, Fraction(rate), is_looped), self._show)

    def _show(self, frame: Any, at: float, place: int) -> None:
        self.came.append(at)
        self.shown.append((int(frame[0, 0, 0]), place))

    @property
    def numbers(self) -> list[int]:
        assert all(number == place for number, place in self.shown)
        return [number for number, _ in self.shown]


@pytest.fixture
def watch() -> Iterator[Any]:
    watched: list[_Watched] = []

    def open_watched(*given: Any, **options: Any) -> _Watched:
        watched.append(_Watched(*given, **options))
        return watched[-1]

    yield open_watched
    for each in watched:
        each.player.close()
        each.player.close()


def test_it_plays_to_the_end_and_again_when_told(watch: Any) -> None:
    watched = watch(_Run(5))
    until(lambda: watched.player.state.is_over)
    assert watched.numbers == [0, 1, 2, 3, 4]
    watched.player.tell("play")
    until(lambda: len(watched.shown) == 10)
    assert watched.numbers == [0, 1, 2, 3, 4] * 2


def test_a_frame_comes_when_it_is_shown_however_long_it_was_ready(watch: Any) -> None:
    watched = watch(_Run(6), rate=1)
    until(lambda: watched.shown)
    watched.player.tell("pause")
    time.sleep(0.1)  # in which the next ones are decoded
    told_at = time.monotonic()
    watched.player.tell("step")
    until(lambda: len(watched.shown) == 2)
    assert watched.came[1] >= told_at


def test_it_goes_on_by_itself_in_a_loop(watch: Any) -> None:
    watched = watch(_Run(3), is_looped=True)
    until(lambda: len(watched.shown) >= 8)
    watched.player.tell("pause")
    assert watched.numbers[:8] == [0, 1, 2, 0, 1, 2, 0, 1]


def test_it_steps_back_and_forth_while_it_stands(watch: Any) -> None:
    watched = watch(_Run(20), rate=1)
    until(lambda: watched.shown)
    player = watched.player
    for wish, expected in [
        (("step", None), [0, 1]),
        (("step", 3), [0, 1, 2, 3, 4]),
        (("step", -2), [0, 1, 2, 3, 4, 2]),
        (("seek", 15), [0, 1, 2, 3, 4, 2, 15]),
        (("seek", 99), [0, 1, 2, 3, 4, 2, 15, 19]),
        (("step", -99), [0, 1, 2, 3, 4, 2, 15, 19, 0]),
    ]:
        player.tell(*wish)
        until(lambda: player.state.waits)
        assert watched.numbers == expected
    assert player.can_seek


def test_steps_that_come_before_their_frames_add_up() -> None:
    playing = Playing(place=10, frames=20, is_paused=True)  # frame 9 is shown
    back = playing.told("step", -1).told("step", -1)
    assert (back.place, back.steps) == (7, 1)
    ahead = playing.told("step").told("step")
    assert (ahead.place, ahead.steps) == (10, 2)
    sought = playing.told("seek", 5).told("step").told("step", -1)
    assert (sought.place, sought.steps) == (5, 1)


def test_speed_is_taken_up_at_once(watch: Any) -> None:
    watched = watch(_Run(4), rate=1)
    until(lambda: watched.shown)
    watched.player.rate = Fraction(1000)
    watched.player.tell("speed", 8)
    until(lambda: watched.player.state.is_over)
    assert watched.numbers == [0, 1, 2, 3]


def test_a_stream_plays_once_and_cannot_go_back(watch: Any) -> None:
    watched = watch(_Run(4, is_stream=True), is_looped=True)
    until(lambda: watched.player.state.is_over)
    assert (watched.numbers, watched.player.state.frames) == ([0, 1, 2, 3], 4)
    for wish in (("seek", 1), ("step", -1), ("play", None)):
        with pytest.raises(ts.InputError, match="found a stream; save it to a file first"):
            watched.player.tell(*wish)
    assert not watched.player.can_seek


def test_it_stands_where_decoding_fails_and_goes_on_when_told(watch: Any) -> None:
    run = _Run(6, fails_at=3)
    watched = watch(run)
    until(lambda: watched.player.failure is not None)
    assert watched.player.failure == "latent 3: it is broken"
    assert (watched.numbers, watched.player.state.is_paused) == ([0, 1, 2], True)
    run.fails_at = None
    watched.player.tell("play")
    until(lambda: watched.player.state.is_over)
    assert (watched.numbers, watched.player.failure) == ([0, 1, 2, 3, 4, 5], None)


def test_it_ends_in_the_middle_of_a_wait(watch: Any) -> None:
    watched = watch(_Run(9), rate=1)
    until(lambda: watched.shown)
    watched.player.tell("speed", 0.125)
    watched.player.close()
    assert len(watched.shown) < 9
