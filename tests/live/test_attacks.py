"""Malformed pushes and requests of all kinds neither stop a page, nor change nor grow it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest
import torch

import taesd_stream as ts
from tests.live.asking import ask, until
from tests.live.attacks import ATTACKS
from tests.live.served import Served, serve

_ROUNDS = 2
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
    assert served.threads <= threads
    assert served.resident - memory < _MOST_GROWTH
    assert ask(served.port, "/frame.png").body == picture
    state = json.loads(ask(served.port, "/status.json").body)
    assert (state["shown"], state["failure"], state["viewers"]) == (1, None, [])
    assert served.complaints == ""
    assert served.process.poll() is None


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
    import psutil

    return [each.status for each in psutil.Process(served.process.pid).net_connections("tcp")]
