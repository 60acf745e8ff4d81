"""What followers of frames get, when frames are shown, and what is told of them."""

from __future__ import annotations

import asyncio
import re
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import taesd_stream as ts
from taesd_stream.live.figures import Figures
from taesd_stream.live.newest import Newest
from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.live.spreading import LONGEST_WAIT, Spreading
from tests.live.asking import ask, until


def test_slow_followers_get_the_newest_and_quick_ones_all() -> None:
    async def follow() -> tuple[list[int], list[int]]:
        newest = Newest[int](asyncio.get_running_loop())

        async def take(pause: float) -> list[int]:
            taken, count = [], 0
            while count < 40:
                count, item = await newest.after(count)
                assert item == count - 1
                taken.append(item)
                await asyncio.sleep(pause)
            return taken

        quick, slow = asyncio.ensure_future(take(0)), asyncio.ensure_future(take(0.02))

        def put_all() -> None:
            for number in range(40):
                newest.put(number)
                while len(seen) <= number:
                    time.sleep(0.001)

        seen: list[int] = []

        async def watch() -> None:
            count = 0
            while count < 40:
                count, item = await newest.after(count)
                seen.append(item)

        watching = asyncio.ensure_future(watch())
        await asyncio.to_thread(put_all)
        await watching
        assert newest.item == 39
        return await quick, await slow

    quick, slow = asyncio.run(follow())
    assert quick == list(range(40))
    assert slow == sorted(set(slow))
    assert slow[-1] == 39
    assert len(slow) < 40


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 5), st.integers(0, 40)), max_size=20))
@settings(max_examples=150, deadline=None)
def test_frames_are_shown_in_order_in_time_and_not_long_after(
    groups: list[tuple[int, int, int]],
) -> None:
    """Latents that come so many milliseconds apart, of so many frames that take so long each."""
    spreading, at, now, last = Spreading(), 0.0, 0.0, 0.0
    for since, frames, taken in groups:
        at += since / 1000
        now = max(now, at)
        for _ in range(frames):
            now += taken / 1000
            turn = spreading.shown_at(at, now)
            assert now <= turn <= now + LONGEST_WAIT
            assert turn >= min(last, now + LONGEST_WAIT)
            last = turn
            now = max(now, turn)


def test_a_latent_that_is_one_frame_never_waits() -> None:
    spreading = Spreading()
    for number in range(50):
        at = number / 24
        assert spreading.shown_at(at, at + 0.01) == at + 0.01


def _frame(at: float, shown_at: float) -> ShownFrame:
    return ShownFrame(0, None, np.zeros((1, 1, 3), np.uint8), at, shown_at)


@given(st.integers(2, 100), st.floats(0.001, 0.5))
@settings(max_examples=60, deadline=None)
def test_figures_of_a_steady_stream(rate: int, latency: float) -> None:
    now = 100.0
    figures = Figures(lambda: now)
    assert (figures.frames_per_second, figures.latency_seconds) == (0.0, None)
    for number in range(3 * rate):
        now = 100 + number / rate
        figures.saw(_frame(now - latency, now))
    assert figures.frames_per_second == pytest.approx(rate, rel=0.02)
    assert figures.latency_seconds == pytest.approx(latency)
    # It has stopped: fewer and fewer, then none.
    now += 1
    slower = figures.frames_per_second
    assert 0 <= slower < rate
    now += 2
    assert (figures.frames_per_second, figures.latency_seconds) == (0.0, None)


_SAMPLE = re.compile(
    r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z_]+=\"[a-z]+\"(,[a-z_]+=\"[a-z]+\")*\})?"
    r" (-?[\d.]+(e[+-]?\d+)?)"
)


def test_metrics_are_as_prometheus_reads_them(page: ts.LivePage) -> None:
    with ts.LiveClient(page.url) as client:
        client.push(torch.zeros(4, 2, 2))
    until(lambda: page.status.shown == 1)
    answer = ask(page.port, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.words.endswith("\n")
    kinds: dict[str, str] = {}
    helped, values = set(), {}
    for line in answer.words.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            _, _, name, kinds[name] = line.split()
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, line
            name = line.partition(" ")[0].partition("{")[0]
            assert name in kinds
            values[line.partition(" ")[0]] = float(found[3])
    assert helped == set(kinds)
    assert set(kinds.values()) <= {"counter", "gauge"}
    assert all(name.endswith("_total") for name, kind in kinds.items() if kind == "counter")
    assert values["taesd_live_frames_shown_total"] == 1
    assert values["taesd_live_latents_pushed_total"] == 1
    assert values["taesd_live_process_memory_bytes"] > 1 << 20
