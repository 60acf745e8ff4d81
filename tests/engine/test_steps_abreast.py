"""Time steps of one tile that are under way at once: who waits, who helps, and what goes wrong."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import taesd_stream as ts
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.row_crew import RowCrew
from taesd_stream.engine.running.steps_abreast import Baton
from taesd_stream.models.network import Network
from tests.convolution import before_convolutions
from tests.engine.conftest import threads_of_ours
from tests.engine.video_networks import ON_CPU, Part, a_video, network_of
from tests.plans import plan_for
from tiling import Interval, Size
from video.background import AbandonedError, Room

Models = Callable[..., ts.AutoEncoder]
PLANE = Size(3, 4)
GROWING = [
    Part("memory", 2, 2),
    Part("grow", 2, 2, 2),
    Part("memory", 2, 2),
    Part("grow", 2, 2, 2),
    Part("memory", 2, 2),
    Part("conv", 2, 1),
]


@pytest.fixture(scope="module")
def network() -> Network:
    return network_of(GROWING)


def abreast(network: Network, video: Tensor, threads: int = 2) -> Iterator[Tensor]:
    plan = plan_for(network, PLANE, threads=threads, cores=threads)
    return (tile for _, tile in Executor(network, ON_CPU, plan).run(video))


def one_by_one(network: Network, video: Tensor) -> list[Tensor]:
    return [tile for _, tile in Executor(network, ON_CPU, plan_for(network, PLANE)).run(video)]


def test_the_next_steps_begin_before_these_are_done(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = a_video(network, 4, PLANE)
    expected = one_by_one(network, video)
    both = threading.Barrier(2, timeout=20)
    seen = set[int]()

    def meet(tensor: Tensor) -> None:  # once in each thread: neither can be done before
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            both.wait()

    before_convolutions(monkeypatch, meet)
    for made, alone in zip(abreast(network, video), expected, strict=True):
        assert torch.equal(made, alone)
    assert len(seen) == 2


def test_a_failure_comes_after_all_steps_before_it_and_ends_all(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = a_video(network, 9, PLANE)
    video[5] = 7
    expected = one_by_one(network, video)

    def fail(tensor: Tensor) -> None:
        if tensor.shape[1] == 4 and bool((tensor[:, :2] == 7).all()):
            raise ValueError("step 5")

    before = threads_of_ours()
    before_convolutions(monkeypatch, fail)
    coming = abreast(network, video, threads=3)
    assert all(torch.equal(next(coming), alone) for alone in expected[:5])
    with pytest.raises(ValueError, match="step 5"):
        next(coming)
    assert threads_of_ours() == before


@pytest.mark.parametrize("by", ["leaving", "ctrl-c"])
def test_who_ends_it_waits_for_a_layer_and_not_for_all_steps(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, begun, ended_at = 60, 0, 0

    def count(tensor: Tensor) -> None:
        nonlocal begun, ended_at
        begun += 1
        if by == "ctrl-c" and begun == blocks:
            ended_at = begun
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
        time.sleep(0.002)

    network = network_of([Part("memory", 2, 2)] * blocks)
    coming = abreast(network, a_video(network, 20, PLANE))
    before = threads_of_ours()
    before_convolutions(monkeypatch, count)
    if by == "ctrl-c":
        with pytest.raises(KeyboardInterrupt):
            next(coming)
    else:
        next(coming)
        ended_at = begun
        coming.close()  # type: ignore[attr-defined]
    assert threads_of_ours() == before
    assert begun - ended_at < blocks  # of the two convolutions that each of them has


def test_without_memory_for_two_steps_it_goes_on_with_one_and_says_so(
    network: Network, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    video = a_video(network, 6, PLANE)
    expected = one_by_one(network, video)
    working = set[int]()
    both = threading.Event()

    def hold(tensor: Tensor) -> None:
        if both.is_set():
            return
        working.add(threading.get_ident())
        if len(working) == 2:
            both.set()
            raise MemoryError
        both.wait(timeout=20)

    before_convolutions(monkeypatch, hold)
    plan = plan_for(network, PLANE, threads=2, cores=2)
    executor = Executor(network, ON_CPU, plan)
    with caplog.at_level(logging.WARNING, "taesd_stream"):
        made = [tile for _, tile in executor.run(video)]
    assert all(map(torch.equal, made, expected))
    assert caplog.messages == ["memory ran out; going on with one time step after the other"]
    crews, begin = list[int](), RowCrew.__enter__
    monkeypatch.setattr(RowCrew, "__enter__", lambda crew: crews.append(crew.count) or begin(crew))
    monkeypatch.setattr(RowCrew, "help", None)  # which only threads with steps of their own call
    assert all(map(torch.equal, [tile for _, tile in executor.run(video)], expected))
    assert crews == [2]  # all cores share what they do not do side by side


def test_who_waits_makes_pieces_until_the_layer_is_left() -> None:
    layer = nn.ReLU()
    crew = RowCrew(1, ON_CPU)
    first = Baton({}, crew, Room(None))
    second = Baton(first, crew, Room(None))
    taken = list[Tensor | None]()

    waiting = threading.Thread(target=lambda: taken.append(second.take(layer)), name="waiting")
    waiting.start()
    while crew.count == 1:
        time.sleep(0.001)
    made = dict[int, str]()
    both = threading.Barrier(2, timeout=20)

    def make(rows: Interval) -> None:
        both.wait()
        made[rows.start] = threading.current_thread().name

    crew.make([Interval(0, 1), Interval(1, 2)], make)
    assert "waiting" in made.values()
    first.leave(layer, torch.ones(1))
    waiting.join(timeout=20)
    assert taken == [torch.ones(1)]
    assert crew.count == 1


def test_what_steps_did_not_reach_is_what_was_before() -> None:
    reached, deeper = nn.ReLU(), nn.ReLU()
    crew, wanted = RowCrew(1, ON_CPU), Room(None)
    first = Baton({deeper: torch.zeros(1)}, crew, wanted)
    second = Baton(first, crew, wanted)
    first.leave(reached, torch.ones(1))
    second.leave(reached, None)  # the layer keeps nothing now
    first.end([reached, deeper])
    second.end([reached, deeper])
    assert second.kept == {deeper: torch.zeros(1)}
    third = Baton(second, crew, wanted)
    assert third.take(reached) is None
    third.fail()
    with pytest.raises(AbandonedError):
        Baton(third, crew, wanted).take(reached)
    wanted.close()
    with pytest.raises(AbandonedError):
        third.take(deeper)


def test_steps_that_make_nothing_keep_nobody_waiting() -> None:
    """Every other step ends before the layers after the first, of which one keeps nothing."""
    network = network_of([Part("pool", 2, 2, 2), Part("pool", 2, 2), Part("memory", 2, 2)])
    video = a_video(network, 12, PLANE)
    expected = one_by_one(network, video)
    for _ in range(40):
        assert all(map(torch.equal, abreast(network, video, threads=3), expected))


@pytest.mark.parametrize("name", ["taehv", "taem1"])
def test_steps_of_the_only_tile_are_planned_side_by_side(name: str, narrow: Models) -> None:
    model = narrow(name)
    latents = torch.randn(1, 5, model.spec.latent_channels, 6, 5)
    plan = model.plan(tuple(latents.shape), tile=None, threads=2)
    assert (plan.threads, plan.tiles, plan.state and plan.state.segment) == (2, 1, None)
    alone = model.decode(latents, tile=None, threads=1)
    assert torch.equal(model.decode(latents, tile=None, threads=2), alone)
    source = ts.open_latents(latents[0])
    run = model.open_video(source, ahead=8, tile=None, threads=2)
    assert run.plan.threads == 2
    assert "2 side by side" in str(run.plan)
    frames = list(model.stream(latents[0], tile=None, threads=1))
    assert all((one == other).all() for one, other in zip(run, frames, strict=True))
    assert model.open_video(iter(latents[0]), ahead=8, tile=None, threads=2).plan.threads == 1
