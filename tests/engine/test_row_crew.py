"""Threads that make pieces of one tile: errors, interrupts, and what the caller notices."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial

import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.running import row_crew
from taesd_stream.engine.running.row_crew import RowCrew
from taesd_stream.models.layers import pieces as pieces_module
from tests.engine.conftest import threads_of_ours
from tests.engine.video_networks import ON_CPU
from tiling import Interval

PIECES = [Interval(i, i + 1) for i in range(12)]


def test_an_error_is_raised_when_all_are_still_and_the_crew_goes_on() -> None:
    both = threading.Barrier(2, timeout=20)
    at_work: set[int] = set()
    begun: list[int] = []

    def work(rows: Interval) -> None:
        begun.append(rows.start)
        at_work.add(rows.start)
        if rows.start < 2:
            both.wait()
        if rows.start == 0:
            at_work.discard(0)
            raise MemoryError("piece 0")
        at_work.discard(rows.start)

    before = threads_of_ours()
    with RowCrew(2, ON_CPU) as crew:
        with pytest.raises(MemoryError, match="piece 0"):
            crew.make(PIECES, work)
        assert not at_work
        made: list[Interval] = []
        crew.make(PIECES, made.append)
        assert sorted(made) == PIECES
        assert threads_of_ours() == before + 1  # and the caller's
    assert threads_of_ours() == before


@pytest.mark.parametrize("comes", ["in a piece", "while another thread is waited for"])
def test_ctrl_c_waits_for_the_pieces_that_are_being_made(
    comes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, made = threading.Event(), threading.Event(), list[Interval]()
    caller, interrupted = threading.get_ident(), list[str]()
    end = row_crew._Pieces.end

    def work(rows: Interval) -> None:
        if threading.get_ident() == caller:
            begun.wait(20)
            if comes == "in a piece":
                raise KeyboardInterrupt
            return
        begun.set()
        go_on.wait(20)
        made.append(rows)

    def ended(asked: row_crew._Pieces) -> BaseException | None:
        if comes != "in a piece" and not interrupted:
            interrupted.append(comes)
            raise KeyboardInterrupt
        threading.Timer(0.1, go_on.set).start()
        return end(asked)

    monkeypatch.setattr(row_crew._Pieces, "end", ended)
    with RowCrew(2, ON_CPU) as crew:
        with pytest.raises(KeyboardInterrupt):
            crew.make(PIECES, work)
        assert len(made) == 1  # the others are left, or were the caller's


@pytest.mark.parametrize("raising", ["one", "both", "none"])
def test_nothing_is_held_when_the_pieces_are_made_or_failed(raising: str) -> None:
    both = threading.Barrier(2, timeout=20)
    caller = threading.get_ident()

    def work(rows: Interval, held: torch.Tensor) -> None:
        both.wait()
        is_ours = threading.get_ident() != caller
        if raising == "both" or (raising == "one" and is_ours):
            raise MemoryError(f"piece of {len(held)}")

    held = torch.zeros(2)
    gone = weakref.ref(held)
    gc.disable()
    try:
        with RowCrew(2, ON_CPU) as crew:
            if raising == "none":
                crew.make(PIECES[:2], partial(work, held=held))
            else:
                with pytest.raises(MemoryError, match="of 2"):
                    crew.make(PIECES[:2], partial(work, held=held))
            del held
            assert gone() is None
    finally:
        gc.enable()


def test_a_thread_that_comes_too_late_holds_nothing() -> None:
    held = torch.zeros(2)
    gone = weakref.ref(held)
    asked = row_crew._Pieces(PIECES, partial(torch.add, held))
    assert asked.end() is None
    del held
    assert gone() is None
    assert not asked.join()


def test_a_thread_that_waits_for_its_core_is_noticed_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def computing(rows: Interval) -> None:
        until = time.thread_time() + 0.01
        while time.thread_time() < until:
            pass

    with RowCrew(1, ON_CPU) as crew:
        assert not crew.in_a_crowd()
        monkeypatch.setattr(row_crew, "perf_counter", time.thread_time)
        crew.make(PIECES[:1], computing)
        assert not crew.in_a_crowd()
        monkeypatch.setattr(row_crew, "perf_counter", lambda: 2 * time.thread_time())
        crew.make(PIECES[:1], computing)
        assert crew.in_a_crowd()
        later = 2 * time.thread_time() + 1
        monkeypatch.setattr(row_crew, "perf_counter", lambda: later)
        assert not crew.in_a_crowd()


@pytest.mark.parametrize("name", ["taehv", "taesdv", "taesd"])
def test_one_tile_on_many_cores_is_the_same_to_the_bit(
    name: str, model: Callable[..., ts.AutoEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    for least in ("_LEAST_MULTIPLIED", "_LEAST_ELEMENTS", "_LEAST_COPIED"):
        monkeypatch.setattr(pieces_module, least, 16)
    asked: list[int] = []
    make = RowCrew.make

    def counted(crew: RowCrew, pieces: list[Interval], work: Callable[[Interval], None]) -> None:
        asked.append(len(pieces))
        make(crew, pieces, work)

    monkeypatch.setattr(RowCrew, "make", counted)
    ae = model(name)
    latent = torch.randn(ae.spec.latent_channels, 5, 6, generator=torch.Generator().manual_seed(0))
    frames = []
    for threads in (1, 3):
        with ae.open_stream(threads=threads, tile=None) as live:
            pushed = [live.push(latent), live.push(-latent)]
        frames.append([torch.from_numpy(frame) for made in pushed for frame in made])
    assert asked
    assert min(asked) >= 3
    assert all(torch.equal(*pair) for pair in zip(*frames, strict=True))
