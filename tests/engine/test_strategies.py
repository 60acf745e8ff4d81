"""Strategies: what a plan says is what is done, within half of any budget."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.planning.strategies import Strategy, Workload, strategies
from taesd_stream.engine.running.state_storage import ScratchStorage
from taesd_stream.engine.running.tile_making import TileMaking
from taesd_stream.engine.streams.decode_stream import Frame
from tests.engine.conftest import model_named
from tiling import Block, Region, TilePlan

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


PLANES = {"taesdv": (7, 8), "taehv": (5, 12)}


def latents_for(ae: ts.AutoEncoder, count: int, plane: tuple[int, int]) -> Tensor:
    shape = (count, ae.spec.latent_channels, *plane)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def check_same_video(frames: list[Frame], expected: list[Frame]) -> None:
    assert len(frames) == len(expected)
    error = np.abs(np.stack(frames).astype(int) - np.stack(expected))
    assert error.max() <= 1
    assert (error == 0).mean() > 0.999


def allowed(workload: Workload, device: str) -> list[tuple[str, bool]]:
    return [
        (strategy.storage, strategy.whole)
        for strategy in strategies(workload, torch.device(device))
    ]


@pytest.mark.parametrize(
    ("steps", "ahead", "device", "expected"),
    [
        (9, None, "cpu", [("device", True)]),
        (9, None, "cuda", [("device", True)]),
        (None, 1, "cpu", [("device", False), ("scratch", False)]),
        (None, 64, "cuda", [("device", False), ("host", False), ("scratch", False)]),
        (65, 64, "cpu", [("device", False), ("scratch", False)]),
        (64, 64, "cpu", [("device", False), ("device", True), ("scratch", False)]),
        (1, 1, "cpu", [("device", False), ("scratch", False)]),
    ],
)
def test_the_strategies_that_a_workload_allows(
    steps: int | None, ahead: int | None, device: str, expected: list[tuple[str, bool]]
) -> None:
    assert allowed(Workload(steps=steps, pictures=None, ahead=ahead), device) == expected


def test_states_at_hand_are_preferred() -> None:
    found = strategies(Workload(steps=None, pictures=None, ahead=1), torch.device("cuda"))
    assert [strategy.costs for strategy in found] == sorted(strategy.costs for strategy in found)
    assert found[0] == Strategy("device")


class Spy:
    """Which tiles are computed, in order: the region, and the number of the first step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[Region, int, int]] = []
        self.scratched = 0
        run, put = TileMaking._made, ScratchStorage.put

        def running(make: TileMaking[Tensor], block: Block, *state, **named) -> Tensor:
            frames = make.sources.plane.frames
            self.done.append((block.region, make.stage.states.at + block.frames.start, frames))
            return run(make, block, *state, **named)

        def putting(storage: ScratchStorage, kept):
            self.scratched += 1
            return put(storage, kept)

        monkeypatch.setattr(TileMaking, "_made", running)
        monkeypatch.setattr(ScratchStorage, "put", putting)

    def check(self, plan: TilePlan, steps: int) -> None:
        """Compare what was done, and forget it."""
        done, self.done = self.done, []
        assert plan.state is not None
        regions = list(dict.fromkeys(region for region, _, _ in done))
        assert len(regions) == plan.tiles
        turns = [list(group) for _, group in groupby(done, key=lambda each: each[0])]
        turn = plan.state.segment or steps
        if plan.tiles > 1:
            assert len(turns) == plan.tiles * -(-steps // turn)
        assert sorted(step for region, step, _ in done if region == regions[0]) == list(
            range(0, steps, plan.batch)
        )
        assert (self.scratched > 0) == (plan.state.storage == "scratch" and plan.tiles > 1)
        self.scratched = 0


def halved(ae: ts.AutoEncoder, plan: Callable[[int], TilePlan]) -> Iterator[TilePlan]:
    """Plans, each for half of what the one before it takes, as long as there are any."""
    made = plan(1 << 50)
    while True:
        yield made
        half = made.peak_bytes // 2
        try:
            made = plan(half)
        except ts.InputError:
            return
        assert made.peak_bytes <= half == made.budget_bytes


@pytest.mark.parametrize(
    ("name", "ahead", "kinds"),
    [
        ("taesdv", 1, {"device", "scratch"}),
        ("taesdv", 4, {"device", "scratch"}),
        ("taesdv", 64, {"device"}),
        ("taehv", 1, {"device", "scratch"}),
    ],
)
def test_half_the_budget_is_half_the_memory_and_the_same_video(
    name: str, ahead: int, kinds: set[str], model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = model(name)
    count = 5 if ahead == 4 else 2
    latents = latents_for(ae, count, PLANES[name])
    source = ts.open_latents(latents)
    expected = list(ae.stream(latents, tile=None))
    spy = Spy(monkeypatch)
    found = set()
    for plan in halved(ae, lambda budget: ae.open_video(source, ahead=ahead, memory=budget).plan):
        check_same_video(list(ae.stream(source, ahead=ahead, memory=plan.budget_bytes)), expected)
        spy.check(plan, count)
        assert plan.state is not None
        found.add(plan.state.storage)
    assert found == kinds


def test_half_the_budget_of_an_encode(model: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    ae = model("taehv")
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 720, 3), np.uint8)
    expected = torch.stack(list(ae.encode_stream(images, tile=None)))
    spy = Spy(monkeypatch)
    found = set()
    for plan in halved(ae, lambda budget: ae.plan((3, 8, 720), action="encode", memory=budget)):
        made = torch.stack(list(ae.encode_stream(images, memory=plan.budget_bytes)))
        spy.check(plan, 8)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
        assert plan.state is not None
        found.add(plan.state.storage)
    assert found == {"device", "scratch"}


SIZE = r"[\d.]+ [KM]iB"


@pytest.mark.parametrize(
    ("ahead", "budget", "words"),
    [
        (1, 1, rf"9 exact tiles of up to 4x4 latents, frame by frame, remembering {SIZE};"),
        (1, 0.9, rf"frame by frame, remembering {SIZE} in scratch files;"),
        (4, 0.9, rf"4 steps a turn, remembering {SIZE} in scratch files;"),
        (64, 0.9, rf"tile by tile through all steps, each remembering {SIZE};"),
    ],
)
def test_a_plan_says_in_which_order_and_what_is_remembered_where(
    ahead: int, budget: float, words: str, model: Models
) -> None:
    ae = model("taesdv")
    source = ts.open_latents(latents_for(ae, 7, (12, 11)))
    enough = ae.plan((4, 12, 11), tile=4).peak_bytes
    plan = ae.open_video(source, ahead=ahead, tile=4, memory=int(enough * budget)).plan
    assert re.search(words, str(plan))
    assert plan.state is not None
    assert plan.to_json()["memory"] == {
        "segment": plan.state.segment,
        "home": plan.state.storage,
        "tiles_bytes": plan.state.tiles_bytes,
        "held_bytes": plan.state.held_bytes,
    }


@pytest.mark.parametrize("ahead", [1, 4, 64])
def test_too_small_a_budget_is_refused_with_what_would_do(ahead: int) -> None:
    ae = model_named("taehv")
    source = ts.open_latents(latents_for(ae, 7, (9, 10)))
    with pytest.raises(ts.InputError, match=r"taehv needs at least [\d.]+ MiB .* 1 MiB") as caught:
        ae.open_video(source, ahead=ahead, memory="1MiB")
    assert "\n" not in str(caught.value)
    needed = re.search(r"at least ([\d.]+) MiB", str(caught.value))
    assert needed is not None
    enough = float(needed[1]) * 1.01
    assert ae.open_video(source, ahead=ahead, memory=f"{enough}MiB").plan.tile.area == 1
    with pytest.raises(ts.InputError):
        ae.open_video(source, ahead=ahead, memory=f"{0.98 * enough}MiB")


@pytest.mark.parametrize("end", ["exhausted", "dropped", "failed"])
def test_scratch_files_are_there_while_they_are_needed(
    end: str, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    storages = list[weakref.ref[ScratchStorage]]()
    make = ScratchStorage.__init__

    def making(storage: ScratchStorage, device: torch.device) -> None:
        storages.append(weakref.ref(storage))
        make(storage, device)

    monkeypatch.setattr(ScratchStorage, "__init__", making)
    ae = model("taesdv")
    latents = latents_for(ae, 4, (12, 11))
    latents[3] = float("nan") if end == "failed" else 0
    frames = ae.stream(latents, tile=4, memory=ae.plan((4, 12, 11), tile=4).peak_bytes - 1)
    next(frames)
    storage = storages[0]()
    assert len(storages) == 1
    assert storage is not None
    scratch = storage._file
    del storage
    held, file = scratch.size_bytes, scratch._file
    assert held > 0
    next(frames)
    assert scratch.size_bytes <= 1.2 * held, "what was is replaced; one of nine tiles is in use"
    del scratch
    assert not file.closed
    if end == "failed":
        with pytest.raises(ts.NonFiniteError):
            list(frames)
    elif end == "exhausted":
        assert len(list(frames)) == 2
    del frames
    assert file.closed
