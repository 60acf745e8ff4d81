"""Threads that make pieces of one tile: errors, interrupts, and what the caller notices."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.running import row_crew
from taesd_stream.engine.running.row_crew import RowCrew
from taesd_stream.models.layers import pieces as pieces_module
from tests.engine.video_networks import ON_CPU
from tiling import Interval

PIECES = [Interval(i, i + 1) for i in range(12)]


def threads_of_ours() -> int:
    return sum(each.name == "taesd-stream" for each in threading.enumerate())


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
        assert threads_of_ours() == before + 2
    assert threads_of_ours() == before


def test_ctrl_c_waits_for_the_pieces_that_are_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, made = threading.Semaphore(0), list[Interval]()
    go_on = threading.Event()

    def work(rows: Interval) -> None:
        begun.release()
        go_on.wait(20)
        made.append(rows)

    with RowCrew(2, ON_CPU) as crew:
        waits = iter([True, False])
        wait = row_crew._Pieces.wait

        def interrupted(asked: row_crew._Pieces) -> None:
            if next(waits):
                begun.acquire()
                begun.acquire()
                raise KeyboardInterrupt
            go_on.set()
            wait(asked)

        monkeypatch.setattr(row_crew._Pieces, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            crew.make(PIECES, work)
        assert len(made) == 2  # the others are left


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
