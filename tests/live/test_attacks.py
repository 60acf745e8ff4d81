"""Malformed pushes and requests of all kinds neither stop a page, nor change nor grow it."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator

import psutil
import pytest
import safetensors.torch
import torch

import taesd_stream as ts
from tests.live.asking import ask, until
from tests.live.attacks import ATTACKS, exchange, frame
from tests.live.served import Served, serve

_ROUNDS = 2
_POOL = min(32, 4 + (os.cpu_count() or 1))
"""Threads that asyncio keeps for work beside its loop; it makes them one by one."""

_MOST_GROWTH = 16 << 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page in a process of its own, which shows a picture."""
    with serve(tmp_path_factory.mktemp("served"), "--model", "nano") as served:
        with ts.LiveClient(served.told["url"]) as client:
            client.push(torch.randn(4, 8, 12))
        assert client.counts.sent == 1
        until(lambda: ask(served.port, "/frame.png").status == 200)
        yield served


def test_nothing_that_is_wrong_stops_changes_or_grows_a_page(served: Served) -> None:
    picture = ask(served.port, "/frame.png").body
    _attack(served.port, seed=0)  # what it needs once, such as a pool of threads
    until(lambda: _is_idle(served))
    memory, threads, files = served.resident, served.threads, served.files
    for seed in range(1, _ROUNDS):
        _attack(served.port, seed)
    until(lambda: _is_idle(served))
    until(lambda: served.files <= files)
    assert served.threads <= threads + _POOL
    assert served.resident - memory < _MOST_GROWTH
    assert ask(served.port, "/frame.png").body == picture
    state = json.loads(ask(served.port, "/status.json").body)
    assert (state["shown"], state["failure"], state["viewers"]) == (1, None, [])
    assert served.complaints == ""
    assert served.process.poll() is None


def test_what_is_large_and_wrong_leaves_no_memory_behind(served: Served) -> None:
    latents = torch.zeros(60, 4, 128, 128)
    latents[-1, -1, -1, -1] = torch.nan
    body = safetensors.torch.save({"latents": latents})
    assert len(body) > 15 << 20

    def push(times: int) -> None:
        for _ in range(times):
            assert ask(served.port, "/latents", body).status == 400
            assert b"found nan" in exchange(served.port, frame(0x82, body))

    push(2)
    time.sleep(1)  # by then it has gone back to the system
    memory = served.resident
    push(5)
    # Of ten bodies a few stay, until the interpreter looks for what nobody holds.
    until(lambda: served.resident - memory < 3 * len(body))
    assert served.complaints == ""


def _attack(port: int, seed: int) -> None:
    chance = random.Random(seed)
    for name in chance.sample(sorted(ATTACKS), len(ATTACKS)):
        try:
            ATTACKS[name](port, chance)
        except Exception as error:
            error.add_note(f"at {name}")
            raise


def _is_idle(served: Served) -> bool:
    """Whether nobody is connected but who asks."""
    return "CLOSE_WAIT" not in _states(served) and _states(served).count("ESTABLISHED") <= 1


def _states(served: Served) -> list[str]:
    return [each.status for each in psutil.Process(served.process.pid).net_connections("tcp")]
