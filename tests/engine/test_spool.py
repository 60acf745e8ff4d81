"""Latents that wait come back in order, whether they waited in memory or in a file."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.streams import waiting_latents as module
from taesd_stream.engine.streams.waiting_latents import Spool

properties = settings(max_examples=40, deadline=None, derandomize=True)

SHAPE = (2, 3, 5)


def numbered(number: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return (torch.arange(30.0).view(SHAPE) + 100 * number).to(dtype)


@pytest.fixture(
    scope="module", params=[0, 3, 1 << 20], ids=["file", "both", "memory"], autouse=True
)
def room(request: pytest.FixtureRequest) -> int:
    """How many latents may wait in memory."""
    room: int = request.param
    return room


@pytest.fixture(scope="module", autouse=True)
def _limited(room: int) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_IN_MEMORY_BYTES", room * numbered(0).nbytes)
        yield


@properties
@given(
    turns=st.lists(st.one_of(st.just("put"), st.integers(1, 3)), max_size=30),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.float64]),
)
def test_first_in_first_out(turns: list[object], dtype: torch.dtype) -> None:
    spool, waiting, put = Spool(), list[Tensor](), 0
    for turn in turns:
        if turn == "put":
            waiting.append(numbered(put, dtype))
            spool.put(waiting[-1])
            put += 1
        elif isinstance(turn, int) and turn <= len(waiting):
            taken = spool.take(turn)
            assert taken.dtype == dtype
            assert torch.equal(taken, torch.stack(waiting[:turn]))
            del waiting[:turn]
        assert len(spool) == len(waiting)
        everything = spool.all()
        if waiting:
            assert everything is not None
            assert torch.equal(everything, torch.stack(waiting))
        else:
            assert everything is None


def test_a_caller_may_reuse_the_tensor_that_was_put_in() -> None:
    spool, tensor = Spool(), torch.empty(SHAPE)
    for number in range(5):
        tensor.copy_(numbered(number))
        spool.put(tensor)
    tensor.fill_(-1)
    for number in range(5):
        assert torch.equal(spool.take(1)[0], numbered(number))


def test_views_wait_as_what_they_show() -> None:
    spool, plane = Spool(), torch.rand(4, 10, 3, generator=torch.Generator().manual_seed(0))
    views = [plane.permute(2, 0, 1)[:, :2, ::2] + 0, plane.permute(2, 0, 1)[:, 1:3, ::2]]
    for _ in range(3):
        for view in views:
            spool.put(view)
    assert torch.equal(spool.take(6), torch.stack(views * 3))


def test_more_than_there_is_cannot_be_taken() -> None:
    spool = Spool()
    with pytest.raises(LookupError):
        spool.take(1)
    spool.put(numbered(0))
    with pytest.raises(LookupError):
        spool.take(2)


def test_no_more_waits_in_memory_than_there_is_room_for(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    write = Spool._write

    def counting(self: Spool, tensor: Tensor) -> int:
        nonlocal written
        written += 1
        return write(self, tensor)

    monkeypatch.setattr(Spool, "_write", counting)
    spool = Spool()
    for number in range(10):
        spool.put(numbered(number))
    assert written == 10 - min(room, 10)
    spool.take(5)
    for number in range(10, 15):
        spool.put(numbered(number))
    # What was taken out of memory makes room there.
    assert written == 15 - min(15, room if room > 10 else 2 * room)
    assert torch.equal(spool.take(10), torch.stack([numbered(n) for n in range(5, 15)]))


def test_what_is_taken_out_of_the_file_makes_room_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_IN_MEMORY_BYTES", 0)
    spool = Spool()
    for number in range(20):
        spool.put(numbered(number))
        if number >= 3:
            assert torch.equal(spool.take(1)[0], numbered(number - 3))
    assert spool._file is not None
    assert spool._file.size_bytes == 4 * numbered(0).nbytes


def test_a_full_disk_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_IN_MEMORY_BYTES", 0)
    spool = Spool()
    spool.put(numbered(0))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    assert spool._file is not None
    monkeypatch.setattr(spool._file, "_file", type("Full", (), {"seek": full}))
    with pytest.raises(ts.OutputError, match=r"found No space left on device; .* set TMPDIR"):
        spool.put(numbered(1))
