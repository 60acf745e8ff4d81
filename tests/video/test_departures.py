"""When frames leave, by a clock that nobody waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video.publishing.departures import BUFFER_SECONDS, Departures, PacedFrames

gaps = st.lists(st.floats(0, 0.5), min_size=1, max_size=60)


@given(gaps, st.data(), st.booleans(), st.floats(0, 1e6))
def test_frames_that_are_in_time_leave_a_buffer_after_their_time(
    distances: list[float], data: st.DataObject, is_live: bool, start: float
) -> None:
    departures, at = Departures(is_live=is_live), 0.0
    for number, distance in enumerate(distances):
        at += distance if number else 0.0
        slow = data.draw(st.floats(0, BUFFER_SECONDS * 0.99)) if number else 0.0
        found = departures.place(7 + at, start + at + slow)
        assert departures.due(found) == pytest.approx(start + at + BUFFER_SECONDS, abs=1e-6)
        assert found.stamp == pytest.approx(at, abs=1e-6)
    assert departures.moved == 0


@given(gaps, st.lists(st.floats(0, 3), min_size=60, max_size=60), st.booleans())
def test_however_late_frames_come_their_order_stays_and_their_delay_is_bounded(
    distances: list[float], slow: list[float], is_live: bool
) -> None:
    departures, at, now, latest = Departures(is_live=is_live), 0.0, 0.0, -1.0
    for distance, late in zip(distances, slow, strict=False):
        at += distance
        now = max(now, at + late)
        found = departures.place(at, now)
        # A float's last bits: a frame that comes too late leaves at once, and no other before.
        assert departures.due(found) >= now - 1e-9
        assert departures.due(found) <= at + max(slow) + BUFFER_SECONDS + 1e-9
        assert found.stamp >= latest
        latest = found.stamp


def delays(departures: Departures, came: list[tuple[float, float]]) -> list[float]:
    """How long after its time each of the frames leaves that came so."""
    return [departures.due(departures.place(at, now)) - at for at, now in came]


def test_a_slow_first_frame_does_not_delay_a_live_stream_for_ever() -> None:
    came = [(number / 20, max(3.0, number / 20)) for number in range(161)]
    assert delays(Departures(is_live=True), came)[-1] == pytest.approx(BUFFER_SECONDS)
    assert delays(Departures(is_live=False), came)[-1] == pytest.approx(3 + BUFFER_SECONDS)


def test_a_delay_that_stays_is_no_reason_to_move() -> None:
    departures = Departures(is_live=True)
    late = delays(departures, [(number / 20, number / 20 + 1) for number in range(200)])
    assert late == [pytest.approx(1 + BUFFER_SECONDS)] * 200
    assert departures.moved == 0


def test_a_source_that_is_too_slow_for_its_rate_is_shown_when_it_came() -> None:
    departures = Departures(is_live=False)
    for number in range(100):
        found = departures.place(number / 24, number / 10)
    assert departures.due(found) == pytest.approx(9.9)
    assert found.stamp == pytest.approx(9.9 - BUFFER_SECONDS)
    assert departures.moved == pytest.approx(9.9 - 99 / 24 - BUFFER_SECONDS)


def test_a_hiccup_is_made_up_for_in_a_live_stream() -> None:
    departures = Departures(is_live=True)
    at_20 = [number / 20 for number in range(200)]
    late = delays(departures, [(at, max(at, 2.0) if 1 < at < 2 else at) for at in at_20])
    assert max(late) == pytest.approx(2.0 - 1.05)
    assert late[-1] == pytest.approx(BUFFER_SECONDS)
    assert departures.moved == pytest.approx(2.0 - 1.05 - BUFFER_SECONDS)


def test_frames_that_wait_leave_earlier_where_the_clock_moves_back() -> None:
    wall = Wall(is_live=True)
    wall.now += 3
    for number in range(161):
        at = number / 20
        wall.pass_time(max(0.0, 100 + at - wall.now))
        wall.take(str(number), at)
    assert wall.written[-1][0] > "150"
    wall.pass_time(0.3)
    assert wall.written[-1] == ("160", pytest.approx(8.2), pytest.approx(8.0))


class Wall:
    """A clock, and what was written when by it."""

    def __init__(self, *, is_live: bool = False, repeat_after: float = 1.0) -> None:
        self.now = 100.0
        self.written: list[tuple[str, float, float]] = []
        departures = Departures(is_live=is_live)
        self.paced = PacedFrames(self.write, departures, lambda: self.now, repeat_after)

    def write(self, frame: str, stamp: float) -> None:
        self.written.append((frame, round(self.now - 100, 6), round(stamp, 6)))

    def take(self, frame: str, at: float) -> None:
        self.paced.take(frame, at, self.now)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (wait := self.paced.advance()) is not None and self.now + wait <= end:
            self.now += wait
        self.now = end


def test_frames_wait_for_their_time_and_the_last_is_repeated() -> None:
    wall = Wall()
    assert wall.paced.advance() is None
    for frame, at in (("a", 0.0), ("b", 0.5), ("c", 2.5)):
        wall.take(frame, at)
    assert len(wall.paced) == 3
    wall.pass_time(5)
    assert wall.written == [
        ("a", 0.2, 0.0),
        ("b", 0.7, 0.5),
        ("b", 1.7, 1.5),  # not once more at 2.7, where the next one is due
        ("c", 2.7, 2.5),
        ("c", 3.7, 3.5),
        ("c", 4.7, 4.5),
    ]
    wall.take("d", 5.0)  # after a pause that no frame's time tells of
    wall.pass_time(0.5)
    assert wall.written[-1] == ("d", 5.2, 5.0)


def test_nothing_waits_once_it_is_hurried() -> None:
    wall = Wall()
    for frame, at in (("a", 0.0), ("b", 50.0), ("c", 99.0)):
        wall.take(frame, at)
    wall.paced.is_hurried = True
    assert [wall.paced.advance() for _ in range(4)] == [0.0, 0.0, None, None]
    assert wall.written == [("a", 0, 0.0), ("b", 0, 50.0), ("c", 0, 99.0)]


def test_a_constant_rate_is_kept_by_repeating() -> None:
    wall = Wall(is_live=True, repeat_after=0.1)
    for frame, at in (("a", 0.0), ("b", 0.1), ("c", 0.4)):
        wall.take(frame, at)
    wall.pass_time(0.75)
    assert [(frame, stamp) for frame, _, stamp in wall.written] == [
        *(("a", 0.0), ("b", 0.1), ("b", 0.2), ("b", 0.3), ("c", 0.4), ("c", 0.5))
    ]
    wall.now += 10.02  # a server that took its time
    wall.pass_time(0)
    assert wall.written[-1] == ("c", 10.77, 10.5)
